"""Encoded images: JPEG, PNG, GIF (its first picture) and BMP, as TensorFlow operations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def decoded(content: Any, channels: int) -> Any:
    """Return one image as uint8 (height, width, channels), whatever channels its file has.

    Args:
        content: scalar string, the file.
        channels: 1 grey, 3 colour, 4 colour and opacity. Colour becomes grey by its luminance; opacity is dropped, or
            full where there was none.
    """
    image = tf.io.decode_image(content, channels=0, expand_animations=False)
    has = tf.shape(image)[2]
    colour = tf.cond(has >= 3, lambda: image[:, :, :3], lambda: tf.tile(image[:, :, :1], [1, 1, 3]))
    if channels == 1:
        image = tf.cond(has >= 3, lambda: tf.image.rgb_to_grayscale(colour), lambda: image[:, :, :1])
    elif channels == 3:
        image = colour
    else:
        full = tf.fill(tf.shape(image)[:2], tf.constant(255, tf.uint8))[:, :, None]
        opacity = tf.cond((has == 2) | (has == 4), lambda: image[:, :, -1:], lambda: full)
        image = tf.concat([colour, opacity], axis=2)
    return tf.ensure_shape(image, [None, None, channels])


def resized(image: Any, size: tuple[int, int]) -> Any:
    """Return the image (height, width, c) brought to a size, bilinear, as uint8."""
    image = tf.image.resize(image, size)
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
