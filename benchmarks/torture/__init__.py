"""What holds when everything goes wrong: kills, hostile input, two at once, a full disk."""
