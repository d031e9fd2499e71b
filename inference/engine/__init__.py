"""The bone-age model as a library: read a radiograph, predict the bone age. Imports no Django.

Neither TensorFlow nor ONNX Runtime is imported before a model is loaded.
"""

from inference.engine.imaging import Radiograph, UnreadableRadiograph, read_radiograph
from inference.engine.model import BoneAgeModel, Prediction, Refusal
from inference.engine.regions import Region

__all__ = [
    "BoneAgeModel",
    "Prediction",
    "Radiograph",
    "Refusal",
    "Region",
    "UnreadableRadiograph",
    "read_radiograph",
]
