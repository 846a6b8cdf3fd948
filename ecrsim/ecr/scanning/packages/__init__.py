"""What is in an image: layers in, a bill of packages out. Pure: streams and values, no database, no clock.

`read_layer` reads one blob and keeps what its files tell (`LayerContents`, to be remembered by the digest); `bill_of`
lays layers on top of each other.
"""

from ecrsim.ecr.scanning.packages.layer import LayerContents
from ecrsim.ecr.scanning.packages.limits import BrokenLayer, Limits
from ecrsim.ecr.scanning.packages.merging import bill_of
from ecrsim.ecr.scanning.packages.reading import read_layer

__all__ = ["BrokenLayer", "LayerContents", "Limits", "bill_of", "read_layer"]
