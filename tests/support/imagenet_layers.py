"""Every quantized layer of the ImageNet networks, written down from their architectures.

A line is a block and, in the order of execution, its layers. Behind a layer's name stands what it
sees: p exact pixels, u values that are never negative (of ReLU, ReLU6, or their pool), s values of
either sign (of a linear bottleneck or its sums, of SiLU, its pool, and its product with a gate). A
d marks a depthwise convolution.
"""

RESNET18 = """
: conv1/p
layer1.0: conv1/u conv2/u
layer1.1: conv1/u conv2/u
layer2.0: conv1/u conv2/u downsample.0/u
layer2.1: conv1/u conv2/u
layer3.0: conv1/u conv2/u downsample.0/u
layer3.1: conv1/u conv2/u
layer4.0: conv1/u conv2/u downsample.0/u
layer4.1: conv1/u conv2/u
: fc/u
"""

RESNET34 = """
: conv1/p
layer1.0: conv1/u conv2/u
layer1.1: conv1/u conv2/u
layer1.2: conv1/u conv2/u
layer2.0: conv1/u conv2/u downsample.0/u
layer2.1: conv1/u conv2/u
layer2.2: conv1/u conv2/u
layer2.3: conv1/u conv2/u
layer3.0: conv1/u conv2/u downsample.0/u
layer3.1: conv1/u conv2/u
layer3.2: conv1/u conv2/u
layer3.3: conv1/u conv2/u
layer3.4: conv1/u conv2/u
layer3.5: conv1/u conv2/u
layer4.0: conv1/u conv2/u downsample.0/u
layer4.1: conv1/u conv2/u
layer4.2: conv1/u conv2/u
: fc/u
"""

RESNET50 = """
: conv1/p
layer1.0: conv1/u conv2/u conv3/u downsample.0/u
layer1.1: conv1/u conv2/u conv3/u
layer1.2: conv1/u conv2/u conv3/u
layer2.0: conv1/u conv2/u conv3/u downsample.0/u
layer2.1: conv1/u conv2/u conv3/u
layer2.2: conv1/u conv2/u conv3/u
layer2.3: conv1/u conv2/u conv3/u
layer3.0: conv1/u conv2/u conv3/u downsample.0/u
layer3.1: conv1/u conv2/u conv3/u
layer3.2: conv1/u conv2/u conv3/u
layer3.3: conv1/u conv2/u conv3/u
layer3.4: conv1/u conv2/u conv3/u
layer3.5: conv1/u conv2/u conv3/u
layer4.0: conv1/u conv2/u conv3/u downsample.0/u
layer4.1: conv1/u conv2/u conv3/u
layer4.2: conv1/u conv2/u conv3/u
: fc/u
"""

# As ResNet-50, with 23 blocks in its third group instead of 6.
RESNET101 = RESNET50.replace(
    "layer4.0:",
    "".join(f"layer3.{block}: conv1/u conv2/u conv3/u\n" for block in range(6, 23)) + "layer4.0:",
)

MOBILENET_V2 = """
: features.0.0/p
features.1: conv.0.0/ud conv.1/u
features.2: conv.0.0/s conv.1.0/ud conv.2/u
features.3: conv.0.0/s conv.1.0/ud conv.2/u
features.4: conv.0.0/s conv.1.0/ud conv.2/u
features.5: conv.0.0/s conv.1.0/ud conv.2/u
features.6: conv.0.0/s conv.1.0/ud conv.2/u
features.7: conv.0.0/s conv.1.0/ud conv.2/u
features.8: conv.0.0/s conv.1.0/ud conv.2/u
features.9: conv.0.0/s conv.1.0/ud conv.2/u
features.10: conv.0.0/s conv.1.0/ud conv.2/u
features.11: conv.0.0/s conv.1.0/ud conv.2/u
features.12: conv.0.0/s conv.1.0/ud conv.2/u
features.13: conv.0.0/s conv.1.0/ud conv.2/u
features.14: conv.0.0/s conv.1.0/ud conv.2/u
features.15: conv.0.0/s conv.1.0/ud conv.2/u
features.16: conv.0.0/s conv.1.0/ud conv.2/u
features.17: conv.0.0/s conv.1.0/ud conv.2/u
: features.18.0/s classifier.1/u
"""

EFFICIENTNET_B0 = """
: features.0.0/p
features.1.0.block: 0.0/sd 1.fc1/s 1.fc2/s 2.0/s
features.2.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.2.1.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.3.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.3.1.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.4.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.4.1.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.4.2.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.5.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.5.1.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.5.2.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.6.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.6.1.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.6.2.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.6.3.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
features.7.0.block: 0.0/s 1.0/sd 2.fc1/s 2.fc2/s 3.0/s
: features.8.0/s classifier.1/s
"""

TABLES = {
    "resnet18": RESNET18,
    "resnet34": RESNET34,
    "resnet50": RESNET50,
    "resnet101": RESNET101,
    "mobilenet_v2": MOBILENET_V2,
    "efficientnet_b0": EFFICIENTNET_B0,
}


def layers(name):
    """Name, what it sees (p, u or s) and whether it is depthwise, of each layer of a network."""
    found = []
    for line in TABLES[name].split("\n"):
        block, _, members = line.partition(":")
        for member in members.split():
            layer, _, marks = member.partition("/")
            full = f"{block}.{layer}" if block else layer
            found.append((full, marks[0], marks.endswith("d")))
    return found
