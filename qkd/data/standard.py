"""The standard data sets as values (torch-free).

A digest is what ``qkd.data.images.content_digest`` gives; reading verifies it.
"""

from qkd.spec import Data, Photos

FASHION_MNIST = Data(
    name="fashion-mnist",
    reader="qkd.data.fashion_mnist:read",
    digest="4a12043163ee67e4be0c214ed119124faa34df8ffa2a7d9195d849ea51471b25",
    train_images=60_000,
    classes=10,
    mean=(0.2860,),
    std=(0.3530,),
    held_out=1000,
)

# ImageNet's channel means and deviations, for both CIFARs: ready CIFAR-10 networks, as they are
# passed around, were trained with them, and a pair sees its images in one way (assumed).
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

CIFAR10 = Data(
    name="cifar10",
    reader="qkd.data.cifar:cifar10",
    digest="6e1f96e28224919fcc76d0135acc326070a552e63a752a059c5e02e026c135fa",
    train_images=50_000,
    classes=10,
    mean=_MEAN,
    std=_STD,
    held_out=1000,
)

CIFAR100 = Data(
    name="cifar100",
    reader="qkd.data.cifar:cifar100",
    digest="349dc516fcfd152ba5c1563f1397e29b751f388afac9df7bdddb0c53b2075c8d",
    train_images=50_000,
    classes=100,
    mean=_MEAN,
    std=_STD,
    held_out=1000,
)

# Without a digest: it is computed once where the files lie (qkd.data.photos.files). The test images
# are its validation set. 10,000 held out (assumed): at 70 % their top-1 is known to half a point.
IMAGENET = Data(
    name="imagenet",
    reader="qkd.data.imagenet:read",
    train_images=1_281_167,
    classes=1000,
    mean=_MEAN,
    std=_STD,
    held_out=10_000,
    pad=0,
    photos=Photos(),
)

# A few of its images, cut small: they show that the machinery runs on photos, and nothing else.
IMAGENET_FEW = Data(
    name="imagenet-few",
    reader="qkd.data.imagenet:read_few",
    train_images=600,
    classes=10,
    mean=_MEAN,
    std=_STD,
    held_out=40,
    pad=0,
    photos=Photos(size=64, resize=72),
)

# A step below ImageNet. Of ImageNet-100, whichever classes it has, 732 images of each are taken.
# With 2,000 held out (assumed) top-1 is known to about a point. Cut as ImageNet is (assumed).
IMAGENET_100 = Data(
    name="imagenet-100",
    reader="qkd.data.readers.imagenet:read_hundred",
    train_images=73_200,
    classes=100,
    mean=_MEAN,
    std=_STD,
    held_out=2000,
    pad=0,
    photos=Photos(),
)

TINY_IMAGENET = Data(
    name="tiny-imagenet",
    reader="qkd.data.readers.tiny_imagenet:read",
    train_images=100_000,
    classes=200,
    mean=_MEAN,
    std=_STD,
    held_out=2000,
    pad=0,
    photos=Photos(size=64, resize=64),
)

TINY_IMAGENET_FEW = Data(
    name="tiny-imagenet-few",
    reader="qkd.data.readers.tiny_imagenet:read_few",
    train_images=600,
    classes=10,
    mean=_MEAN,
    std=_STD,
    held_out=40,
    pad=0,
    photos=Photos(size=64, resize=64),
)

SYNTHETIC = Data(
    name="synthetic",
    reader="qkd.data.synthetic:read",
    digest="e60ac086935fd61d4ea46addc2eedf15cd472f1fa62c742320378231dff5994a",
    train_images=640,
    classes=10,
    mean=(0.4760,),
    std=(0.2600,),
    held_out=64,
    pad=2,
    flip=False,
)
