"""The bone-age model as a library: read a radiograph, predict the bone age. Imports no Django.

Neither TensorFlow nor ONNX Runtime is imported before a model is loaded.
"""

from inference.engine.explanation import Explanation
from inference.engine.imaging import Radiograph, UnreadableRadiograph, read_radiograph
from inference.engine.model import BoneAgeModel, Prediction, Refusal
from inference.engine.regions import Region
from inference.engine.weights import ModelFolder, available_models

__all__ = [
    "BoneAgeModel",
    "Explanation",
    "ModelFolder",
    "Prediction",
    "Radiograph",
    "Refusal",
    "Region",
    "UnreadableRadiograph",
    "available_models",
    "read_radiograph",
]
