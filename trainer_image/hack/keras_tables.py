"""What `keras_catalog.py` can't read from Keras's signatures: types of parameters, and what a YAML file can't use.

A type is an expression (its grammar is in `trainingjob_operator/core/keras_types.py`). `{d}` is the number of
dimensions at the end of a class's name, 2 for Conv2D. A bare `int` or `number` gets the bounds that Keras itself
refuses beyond, found by trying; bounds written here are ours, or those that Keras checks only when it is too late. A
text that begins with `!` says why the parameter can't be given.
"""

SIZE = "int>=1|[int>=1]*{d}"
FACTOR = "number|[number]*2<"
BORDER = {
    "1D": "int>=0|[int>=0]*2",
    "2D": "int>=0|[int>=0]*2|[[int>=0]*2]*2",
    "3D": "int>=0|[int>=0]*3|[[int>=0]*2]*3",
}
ACCUMULATION = "!write spec.training.gradientAccumulation instead: it gives the same result on any number of members"
LOSS_SCALE = "!leave it out: with precision float16 the trainer scales the loss itself"
NO_ARRAYS = "!leave it out: weights are no YAML; a model.builder can load them"
NO_STATE = "!leave it out: the layers of a list have one output each"
DENSE = "!leave it out: layers of a list give dense numbers"
DTYPE_FOLLOWS = "!leave it out: it follows from output_mode"
NO_CONFIG = "!leave it out: quantization is for trained models"

#: Types by the parameter's name, for every class that KIND or CLASS does not say otherwise for.
NAMED = {
    "activation": "@activation|null",
    "recurrent_activation": "@activation|null",
    "activity_regularizer": "@regularizer|null",
    "adam_lr_ratio": "number>=0",
    "axis": "int|[int]+",
    "beta_1": "number>0<1",
    "beta_2": "number>=0<1",
    "adam_beta_1": "number>=0<1",
    "adam_beta_2": "number>=0<1",
    "class_id": "int>=0|null",
    "clipnorm": "number>0|null",
    "clipvalue": "number>0|null",
    "crop_to_aspect_ratio": "bool",
    "chain_depth": "int>=1",
    "data_format": "data_format|null",
    "decay_rate": "number>0",
    "decay_steps": "int>=1",
    "depth_multiplier": "int>=1",
    "dilation_rate": SIZE,
    "dropout": "number>=0<=1",
    "dtype": "dtype|null",
    "ema_momentum": "number>=0<=1",
    "ema_overwrite_frequency": "int>=1|null",
    "end_learning_rate": "number>=0",
    "epsilon": "number>=0",
    "factor": FACTOR,
    "fill_value": "number",
    "filters": "int>=1",
    "first_decay_steps": "int>=1",
    "global_clipnorm": "number>0|null",
    "gradient_accumulation_steps": ACCUMULATION,
    "groups": "int>=1",
    "fft_length": "int>=1",
    "height": "int>=1",
    "height_factor": FACTOR,
    "idf_weights": DENSE,
    "invert": DENSE,
    "max_tokens": "!leave it out: the vocabulary says how many there are",
    "pad_to_max_tokens": DENSE,
    "ragged": DENSE,
    "salt": "int|null",
    "sparse": DENSE,
    "vocabulary_dtype": "'int64'",
    "ignore_class": "int|null",
    "initial_accumulator_value": "number>=0",
    "initial_learning_rate": "number>=0",
    "input_axes": "[int]+|null",
    "output_axes": "[int]+|null",
    "input_dim": "int>=1",
    "kernel_size": SIZE,
    "label_smoothing": "number>=0<=1",
    "k": "int>=1",
    "layer": "@layer",
    "learning_rate_power": "number<=0",
    "learning_rate": "number>=0|@schedule",
    "lora_alpha": "number>0|null",
    "lora_rank": "int>=1|null",
    "loss_scale_factor": LOSS_SCALE,
    "momentum": "number>=0<=1",
    "name": "name|null",
    "noise_shape": "[int>=1|null]+|null",
    "num_bins": "int>=1",
    "num_chains": "int>=1",
    "num_mel_bins": "int>=1",
    "num_ops": "int>=1",
    "ns_steps": "int>=1",
    "num_classes": "int>=1",
    "num_thresholds": "int>=2",
    "output_dim": "int>=1",
    "output_padding": "int>=0|[int>=0]*{d}|null",
    "output_size": SIZE,
    "pool_size": SIZE,
    "power_iterations": "int>=1",
    "quantization_config": NO_CONFIG,
    "rate": "number",
    "recurrent_dropout": "number>=0<=1",
    "reduction": "!leave it out: the loss is always the mean over the global batch",
    "return_state": NO_STATE,
    "rho": "number>=0<1",
    "seed": "int>=0|null",
    "size": SIZE,
    "stateful": "!leave it out: each epoch has an order of its own, so no state can be carried over",
    "strides": SIZE,
    "target_class_ids": "[int>=0]+",
    "threshold": "number",
    "thresholds": "number>=0<=1|[number>=0<=1]+|null",
    "top_k": "int>=1|null",
    "trainable": "bool",
    "units": "int>=1",
    "use_cudnn": "'auto'|bool",
    "value_range": "[number]*2<",
    "vocabulary": "[text]+",
    "warmup_steps": "int>=0",
    "weight_decay": "number>=0|null",
    "weights": NO_ARRAYS,
    "width": "int>=1",
    "width_factor": FACTOR,
}

LOOKUPS = ("Discretization", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization")
#: (class, parameter) → type, and with a trailing `=` the parameter becomes required.
CLASS = {
    **{(name, "dtype"): DTYPE_FOLLOWS for name in LOOKUPS},
    **{(name, "output_mode"): "'count'|'int'|'multi_hot'|'one_hot'" for name in LOOKUPS},
    **{(name, "salt"): "!leave it out: it is for several unknown tokens" for name in LOOKUPS if name != "Hashing"},
    ("AUC", "thresholds"): "[number>=0<=1]+|null",
    ("AdamW", "weight_decay"): "number>=0",
    ("Muon", "weight_decay"): "number>=0",
    ("AUC", "num_labels"): "int>=1|null",
    ("AUC", "label_weights"): "[number>=0]+|null",
    **{(f"{name}Pooling{rank}D", "padding"): "'same'|'valid'" for name in ("Average", "Max") for rank in (1, 2, 3)},
    ("BatchNormalization", "axis"): "int",
    ("BatchNormalization", "renorm_clipping"): "!leave it out: its defaults are Keras's",
    ("Bidirectional", "backward_layer"): "@layer|null",
    ("Bidirectional", "merge_mode"): "'ave'|'concat'|'mul'|'sum'",
    ("CategoricalFocalCrossentropy", "alpha"): "number>=0|[number>=0]+",
    ("CategoryEncoding", "num_tokens"): "int>=1=",
    ("CenterCrop", "height"): "int>=1",
    ("Constant", "value"): "number",
    ("ContrastLimitedAdaptiveHistogramEqualization", "tile_grid_size"): "[int>=1]*2",
    ("Cropping1D", "cropping"): BORDER["1D"],
    ("Cropping2D", "cropping"): BORDER["2D"],
    ("Cropping3D", "cropping"): BORDER["3D"],
    ("CosineDecay", "warmup_target"): "number>=0|null",
    ("Dice", "axis"): "int|[int]+=",  # without it Keras sums over the batch, and members have parts of one
    ("Tversky", "axis"): "int|[int]+=",
    ("Discretization", "bin_boundaries"): "[number]+=",
    ("Discretization", "num_bins"): "!leave it out: it needs Keras's adapt(); write bin_boundaries",
    ("EinsumDense", "bias_axes"): "text|null",
    ("EinsumDense", "equation"): "text",
    ("EinsumDense", "gptq_unpacked_column_size"): NO_CONFIG,
    ("EinsumDense", "output_shape"): "int>=1|[int>=1|null]+",
    ("F1Score", "average"): "'macro'|'micro'|'weighted'|null",
    ("F1Score", "threshold"): "number>0<=1|null",
    ("FBetaScore", "average"): "'macro'|'micro'|'weighted'|null",
    ("FBetaScore", "threshold"): "number>0<=1|null",
    ("FBetaScore", "beta"): "number>0",
    ("GaussianNoise", "stddev"): "number",
    ("GroupNormalization", "groups"): "int>=1|-1",
    ("Hashing", "mask_value"): "int|text|null",
    ("IntegerLookup", "mask_token"): "int|null",
    ("IntegerLookup", "vocabulary"): "[int]+=",
    ("LayerNormalization", "axis"): "int|[int]+",
    ("Masking", "mask_value"): "number",
    ("MaxNorm", "max_value"): "number>=0",
    ("MelSpectrogram", "max_freq"): "number>0|null",
    ("MelSpectrogram", "sequence_length"): "int>=1|null",
    ("MelSpectrogram", "window"): "'hamming'|'hann'|null",
    ("Muon", "exclude_layers"): "[text]|null",
    ("Normalization", "axis"): "int|[int]+|null",
    ("Normalization", "mean"): "number|[number]+=",
    ("Normalization", "variance"): "number>=0|[number>=0]+=",
    ("OneHotMeanIoU", "axis"): "int",
    ("OrthogonalRegularizer", "factor"): "number>=0",
    ("PReLU", "shared_axes"): "[int>=1]+|null",
    ("Permute", "dims"): "[int>=1]+",
    ("PiecewiseConstantDecay", "boundaries"): "[number>=0]+",
    ("PiecewiseConstantDecay", "values"): "[number>=0]+",
    ("PrecisionAtRecall", "recall"): "number>=0<=1",
    ("R2Score", "class_aggregation"): "'uniform_average'|'variance_weighted_average'|null",
    ("RNN", "cell"): "@cell|[@cell]+",
    ("RandomColorJitter", "brightness_factor"): "number>=0<=1|[number>=-1<=1]*2<|null",
    ("RandomColorJitter", "contrast_factor"): "number>=0<=1|[number>=0<=1]*2<|null",
    ("RandomColorJitter", "hue_factor"): "number>=0<=1|[number>=0<=1]*2<|null",
    ("RandomColorJitter", "saturation_factor"): "number>=0<=1|[number>=0<=1]*2<|null",
    ("RandomErasing", "fill_value"): "number|null",
    ("RandomErasing", "scale"): "number>=0<=1|[number>=0<=1]*2<",
    ("RandomBrightness", "factor"): "number>=0<=1|[number>=-1<=1]*2<",
    ("RandomCrop", "height"): "int>=1",
    ("RandomElasticTransform", "scale"): "number>=0<=1|[number>=0<=1]*2<",
    ("RandomFlip", "mode"): "'horizontal'|'horizontal_and_vertical'|'vertical'",
    ("RandomPosterization", "factor"): "int>=1<=8|[int>=1<=8]*2<",
    ("Resizing", "fill_mode"): "'constant'",
    ("Resizing", "interpolation"): "'bicubic'|'bilinear'|'lanczos3'|'lanczos5'|'nearest'",
    ("UpSampling1D", "size"): "int>=1",
    ("UpSampling2D", "interpolation"): "'bicubic'|'bilinear'|'lanczos3'|'lanczos5'|'nearest'",
    ("RandomGaussianBlur", "sigma"): "number>=0<=1|[number>=0<=1]*2<",
    ("RandomGaussianBlur", "kernel_size"): "int>=1|[int>=1]*2",
    ("RandomGrayscale", "factor"): "number>=0<=1",
    ("RandomPerspective", "scale"): "number>=0<=1|[number>=0<=1]*2<",
    ("RandomShear", "x_factor"): "number>=0<=1|[number>=0<=1]*2<",
    ("RandomShear", "y_factor"): "number>=0<=1|[number>=0<=1]*2<",
    ("ReLU", "max_value"): "number>=0|null",
    ("RecallAtPrecision", "precision"): "number>=0<=1",
    ("RepeatVector", "n"): "int>=1",
    ("Rescaling", "offset"): "number|[number]+",
    ("Rescaling", "scale"): "number|[number]+",
    ("Reshape", "target_shape"): "[int>=1|-1]+",
    ("ReversibleEmbedding", "logit_soft_cap"): "number>0|null",
    ("ReversibleEmbedding", "reverse_dtype"): "dtype|null",
    ("SensitivityAtSpecificity", "specificity"): "number>=0<=1",
    ("Solarization", "addition_factor"): "number>=0<=1|[number>=0<=1]*2<",
    ("Solarization", "threshold_factor"): "number>=0<=1|[number>=0<=1]*2<",
    ("SpecificityAtSensitivity", "sensitivity"): "number>=0<=1",
    ("StackedRNNCells", "cells"): "[@cell]+",
    ("StringLookup", "encoding"): "'utf-8'",
    ("StringLookup", "mask_token"): "text|null",
    ("StringLookup", "oov_token"): "text",
    ("StringLookup", "vocabulary"): "[text]+=",
    ("TextVectorization", "encoding"): "'utf-8'",
    ("TextVectorization", "ngrams"): "int>=1|null",
    ("TextVectorization", "output_sequence_length"): "int>=1|null",
    ("TextVectorization", "split"): "'character'|'whitespace'|null",
    ("TextVectorization", "standardize"): "'lower'|'lower_and_strip_punctuation'|'strip_punctuation'|null",
    ("TextVectorization", "vocabulary"): "[text]+=",
    ("VarianceScaling", "scale"): "number>0",
    ("ZeroPadding1D", "padding"): BORDER["1D"],
    ("ZeroPadding2D", "padding"): BORDER["2D"],
    ("ZeroPadding3D", "padding"): BORDER["3D"],
}

DTYPES = (
    "bfloat16", "float16", "float32", "float64", "mixed_bfloat16", "mixed_float16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "bool", "string",
)  # fmt: skip
#: Types that many parameters share.
TYPES = {
    "dtype": "'bfloat16'|'float16'|'float32'|'float64'|'mixed_bfloat16'|'mixed_float16'",
    "data_format": "'channels_first'|'channels_last'",
}

#: Words that parameters take, to be tried on each parameter that takes a word.
WORDS = (
    "SVD", "PR", "ROC", "all", "auto", "ave", "avg", "bilinear", "bicubic", "causal", "channels_first",
    "channels_last", "columns", "concat", "constant", "count", "crop", "density", "dot", "fan_avg", "fan_in",
    "fan_out", "full", "gaussian", "hamming", "hann", "horizontal", "horizontal_and_vertical", "imag", "increasing",
    "int", "interpolation", "lanczos3", "lanczos5", "linear", "log", "macro", "magnitude", "majoring", "max", "mean",
    "mean_with_sample_weight", "micro", "minoring", "mul", "multi_hot", "nearest", "none", "normal", "one_hot",
    "phase", "psd", "real", "reflect", "rows", "same", "spectrum", "stft", "sum", "sum_over_batch_size", "symmetric",
    "tf_idf", "truncated_normal", "uniform", "uniform_average", "untruncated_normal", "utf-8", "valid", "vertical",
    "weighted", "whitespace", "wrap", "floormod", "farmhash", "scale",
)  # fmt: skip

_CODE = "it is made of code: write the model as a program's, with model.builder"
_MERGE = "it takes several inputs, and a list of layers has one: use model.builder"
_BASE = "it is a base class: write one of those that are made from it"
_SCIPY = "it needs SciPy, which the trainer image does not have"
_IMAGES_AND_LABELS = "it changes images together with labels, which a layer of a list does not see"
#: Kind → classes that a YAML file can't use → why.
REFUSED = {
    "optimizer": {
        "LossScaleOptimizer": "write the optimizer itself: with precision float16 the trainer scales the loss",
        "MultiOptimizer": "it is made of code: use spec.program",
        "Optimizer": _BASE,
        "OptimizerMap": "it is a part of MultiOptimizer, which is made of code: use spec.program",
    },
    "schedule": {"LearningRateSchedule": _BASE},
    "loss": {
        "Circle": "it compares a batch's examples with each other, and members have parts of one: use spec.program",
        "Loss": _BASE,
    },
    "metric": {
        "Mean": "it measures no labels: it is a tool for programs",
        "MeanMetricWrapper": "it is made of code: use spec.program",
        "Metric": _BASE,
        "Sum": "it measures no labels: it is a tool for programs",
    },
    "initializer": {"Initializer": _BASE, "STFT": _SCIPY},
    "regularizer": {"Regularizer": _BASE},
    "constraint": {"Constraint": _BASE},
    "layer": {
        **dict.fromkeys(
            ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"), _MERGE
        ),
        **dict.fromkeys(("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"), _MERGE),
        **dict.fromkeys(("CutMix", "MaxNumBoundingBoxes", "MixUp"), _IMAGES_AND_LABELS),
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"), _CODE),
        **dict.fromkeys(("Layer", "Wrapper"), _BASE),
        "HashedCrossing": _MERGE,
        "InputLayer": "leave it out: the input's shape is the data's",
        "InputSpec": "leave it out: the input's shape is the data's",
        "STFTSpectrogram": _SCIPY,
        "Pipeline": "write its layers into the list",
    },
}

#: Parameters that a class needs before it can be made at all, for trying the others.
NEEDED = {
    "axis": -1, "bin_boundaries": [0.0, 1.0], "boundaries": [10], "cell": "LSTMCell(4)", "cells": "LSTMCell(4)",
    "decay_rate": 0.5, "decay_steps": 10, "dims": [1], "equation": "ab,bc->ac", "factor": 0.5, "filters": 4,
    "first_decay_steps": 10, "height": 8, "height_factor": 0.5, "initial_learning_rate": 0.1, "input_dim": 4,
    "kernel_size": 3, "layer": "LSTM(4)", "mean": 0.0, "n": 2, "num_bins": 4, "num_classes": 3, "num_tokens": 4,
    "output_dim": 4, "output_shape": 4, "output_size": 2, "pool_size": 2, "precision": 0.5, "rate": 0.5,
    "recall": 0.5, "scale": 0.5, "sensitivity": 0.5, "specificity": 0.5, "stddev": 0.5, "target_class_ids": [0],
    "target_shape": [-1], "units": 4, "values": [0.1, 0.01], "variance": 1.0, "vocabulary": [5, 6], "width": 8,
    "width_factor": 0.5, "activation": "relu", "weights": None,
}  # fmt: skip

#: Names that Keras's compile() takes, and chooses the object by the labels.
AUTOMATIC = {"loss": ("ce", "crossentropy"), "metric": ("acc", "accuracy", "ce", "crossentropy")}

#: Ours, in the trainer: kind → name → parameters.
OURS = {
    "loss": {
        "WeightedBinaryCrossentropy": {
            "axis": "int = -1",
            "from_logits": "bool = false",
            "label_smoothing": "number>=0<=1 = 0.0",
            "name": "name|null = null",
            "pos_weight": "number>0",
        }
    },
    "preset": {
        "CNN": {"classes": "int>=1 = 10", "filters": "[int>=1]+ = [32, 64]"},
        "Linear": {"units": "int>=1 = 1"},
        "MLP": {"classes": "int>=1 = 10", "hidden": "[int>=1] = [64]"},
    },
}
#: Parameters of keras.applications.
APPLICATION = {
    "alpha": "number>0",
    "classes": "int>=1",
    "classifier_activation": "@activation|null",
    "depth_multiplier": "int>=1",
    "dropout": "number>=0<1",
    "dropout_rate": "number>=0<1",
    "include_preprocessing": "bool",
    "include_top": "true",
    "input_shape": "!leave it out: the input's shape is the data's",
    "input_tensor": "!leave it out: the input is the data's",
    "minimalistic": "bool",
    "name": "name|null",
    "pooling": "!leave it out: it is for models without their classifier",
    "weights": "!leave it out: presets begin with random weights; a model.builder can load others from a volume",
}
