// Sorting, filtering, the drawers' keys, and figures as files. Without it the page can be read all
// the same: drawers open by their links, and every table is there.
"use strict";

const text = (row, column) => row.cells[column].textContent.trim();
const value = (row, column) => parseFloat(text(row, column).replace(/^< /, "").replace("\u2212", "-"));

function compare(column, isNumber) {
  return (a, b) => {
    if (!isNumber) return text(a, column).localeCompare(text(b, column), "en", { numeric: true });
    const [x, y] = [value(a, column), value(b, column)].map((n) => (Number.isNaN(n) ? -Infinity : n));
    return x === y ? 0 : x - y;
  };
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const inOrder = compare(column, head.classList.contains("number"));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * inOrder(a, b));
      table.tBodies[0].append(...rows);
    });
  });
}

// "> 88" and "< 88" compare numbers; anything else must be part of the text.
function fits(row, column, wanted) {
  const bound = wanted.match(/^([<>])\s*([-\u2212]?[\d.]+)$/);
  if (!bound) return text(row, column).toLowerCase().includes(wanted.toLowerCase());
  const [own, limit] = [value(row, column), parseFloat(bound[2].replace("\u2212", "-"))];
  return bound[1] === ">" ? own > limit : own < limit;
}

function filterable(table) {
  const line = table.tHead.insertRow();
  const count = document.createElement("output");
  const inputs = [...table.tHead.rows[0].cells].map((head) => {
    const input = document.createElement("input");
    input.type = "search";
    input.setAttribute("aria-label", `Filter by ${head.textContent}`);
    input.placeholder = head.classList.contains("number") ? "> <" : "filter";
    line.append(Object.assign(document.createElement("td"), { className: head.className }));
    line.lastChild.append(input);
    return input;
  });
  const rows = [...table.tBodies[0].rows];
  const apply = () => {
    for (const row of rows) {
      row.hidden = !inputs.every((input, column) => fits(row, column, input.value.trim()));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = shown < rows.length ? `${shown} of ${rows.length} runs shown` : "";
  };
  line.addEventListener("input", apply);
  table.parentElement.before(count);
}

function downloadable(figure) {
  const svg = figure.querySelector("svg");
  const link = Object.assign(document.createElement("a"), { textContent: "SVG", className: "take" });
  const file = svg.cloneNode(true);
  file.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  file.prepend(document.getElementById("palette").cloneNode(true));
  link.download = `${figure.id}.svg`;
  link.href = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(file.outerHTML)}`;
  figure.querySelector("figcaption").append(" ", link);
}

// A drawer is shown by its address alone; the keys and the focus follow it.
let opener = null;
function followAddress() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.classList.contains("drawer")) target.focus({ preventScroll: true });
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target && !target.classList.contains("drawer")) target.scrollIntoView();
  if (target?.id.startsWith("row-")) (opener ?? target.querySelector("a"))?.focus({ preventScroll: true });
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".runs table").forEach(filterable);
document.querySelectorAll("figure[id]").forEach(downloadable);
document.addEventListener("click", (event) => {
  const link = event.target.closest(".runs a");
  if (link) opener = link;
});
document.addEventListener("keydown", (event) => {
  const drawer = event.key === "Escape" && document.querySelector(".drawer:target");
  if (drawer) drawer.querySelector(".close").click();
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
addEventListener("hashchange", followAddress);
followAddress();
