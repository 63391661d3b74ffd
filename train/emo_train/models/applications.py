"""Transfer learning: nets of keras.applications without their top, fed raw pixels of faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import applications, layers

from emo_edge.errors import UsageError

# They halve the resolution five times: of a smaller picture next to nothing would be left.
SMALLEST_SIDE = 96
IMAGENET_RGB = (123.68, 116.779, 103.939)  # mean, as the "caffe" preprocessing subtracts it


@dataclass(frozen=True)
class Net:
    """A net of keras.applications and how it wants its pixels.

    Attributes:
        build: The function of keras.applications.
        description: For people.
        scale: None if the net scales raw pixels itself; else scale and offset per channel RGB.
        bgr_stem: Name of the first convolution if its ImageNet weights expect B, G, R.
    """

    build: Callable[..., Any]
    description: str
    scale: tuple[float, tuple[float, ...]] | None = None
    bgr_stem: str | None = None


_CAFFE = (1.0, tuple(-mean for mean in IMAGENET_RGB))
NETS = {
    "mobilenetv2": Net(
        applications.MobileNetV2, "ImageNet transfer: MobileNetV2", (1 / 127.5, (-1.0,) * 3)
    ),
    "mobilenetv3small": Net(
        applications.MobileNetV3Small, "ImageNet transfer: MobileNetV3-Small (hard-swish)"
    ),
    "efficientnetv2b0": Net(
        applications.EfficientNetV2B0, "ImageNet transfer: EfficientNetV2-B0 (SiLU)"
    ),
    "resnet50": Net(applications.ResNet50, "ImageNet transfer: ResNet50", _CAFFE, "conv1_conv"),
    "vgg16": Net(applications.VGG16, "ImageNet transfer: VGG16", _CAFFE, "block1_conv1"),
}


def build(
    name: str, input_shape: tuple[int, int, int], classes: int, dropout: float, weights: str
) -> keras.Model:
    """Return a net with a new last layer: raw pixels float32[?,H,W,C] 0-255 -> logits float32[?,n].

    Grey pictures become three equal channels, and small ones are enlarged by a whole factor until
    a side reaches `SMALLEST_SIDE`, both inside the graph.

    Raises `UsageError` where the ImageNet weights cannot be fetched.
    """
    net = NETS[name]
    inputs = keras.Input(input_shape, name="pixels")
    x = inputs
    factor = -(-SMALLEST_SIDE // max(input_shape[:2]))
    if factor > 1:
        x = layers.UpSampling2D(factor, interpolation="bilinear", name="enlarge")(x)
    if input_shape[2] == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    if net.scale is not None:
        scale, offset = net.scale
        x = layers.Rescaling(scale, offset=list(offset), name="rescale")(x)
    wanted = "imagenet" if weights == "imagenet" else None
    body = _fetching(name, net.build, x, wanted)
    if wanted and net.bgr_stem:
        _swap_red_and_blue(body.get_layer(net.bgr_stem))
    x = layers.GlobalAveragePooling2D(name="pool")(body.output)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name=name)


def _fetching(name: str, make: Callable[..., Any], tensor: Any, weights: str | None) -> Any:
    shape = tuple(tensor.shape[1:])
    try:
        return make(include_top=False, weights=weights, input_tensor=tensor, input_shape=shape)
    except Exception as error:  # Keras raises no narrower class for a failed download
        if "URL fetch failure" not in str(error):
            raise
        where = str(error).removeprefix("URL fetch failure on ")
        raise UsageError(
            f"the ImageNet weights of {name} cannot be fetched ({where}): connect to the internet "
            "once, or put the file into ~/.keras/models, or give --weights FILE or --weights none"
        ) from error


def _swap_red_and_blue(layer: Any) -> None:
    """Let a convolution that was trained on B, G, R take R, G, B."""
    kernel, *bias = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1], *bias])
