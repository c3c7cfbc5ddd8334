"""Surfaces for the page's 3-D views: small, and each array embedded only once.

The page holds compressed arrays (`buffers`) and, for each view, which of them it uses. Faces of one model
share triangles and uv, so a further face costs its positions and its texture only. templates/viewer.js reads
them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.glb import split_at_seams
from facemill.geometry.mesh import Mesh

_LEVELS = 65535


@dataclass
class ViewerStore:
    """Collects the arrays of all views of a page.

    Attributes:
        buffers: name -> base64 text, of gzip data or of a JPEG.
    """

    buffers: dict[str, str] = field(default_factory=dict)

    def add(
        self, mesh: Mesh, texture: NDArray[np.uint8] | None = None, texture_side: int = 512, quality: int = 85
    ) -> dict[str, Any]:
        """Add a surface; returns what its view needs, for the attribute `data-mesh`.

        Positions are stored in 16 bits of the bounding box: a head of 250 mm is off by 2 micrometres at most.

        Args:
            mesh: its unit does not matter, the view fits itself; uv is used with a texture.
            texture: (H, W, 3) uint8, row 0 is v = 1; reduced to `texture_side`.
        """
        vertex, uv, triangles = split_at_seams(mesh)
        positions = np.asarray(mesh.vertices, dtype=np.float64)[vertex]
        low, high = positions.min(axis=0), positions.max(axis=0)
        extent = np.maximum(high - low, 1e-9)
        wide = len(positions) > _LEVELS
        view: dict[str, Any] = {
            "low": low.round(4).tolist(),
            "high": (low + extent).round(4).tolist(),
            "positions": self._array(np.round((positions - low) / extent * _LEVELS).astype("<u2")),
            "triangles": self._array(triangles.astype("<u4" if wide else "<u2")),
            "wide": wide,
        }
        if texture is not None and uv is not None:
            view["uv"] = self._array(np.round(np.clip(uv, 0, 1) * _LEVELS).astype("<u2"))
            view["texture"] = self._texture(texture, texture_side, quality)
        return view

    def _array(self, values: NDArray) -> str:
        return self._keep(gzip.compress(np.ascontiguousarray(values).tobytes(), compresslevel=9, mtime=0))

    def _texture(self, texture: NDArray[np.uint8], side: int, quality: int) -> str:
        image = Image.fromarray(texture)
        if max(image.size) > side:
            scale = side / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.BOX)
        stream = io.BytesIO()
        image.save(stream, format="JPEG", quality=quality, optimize=True)
        return self._keep(stream.getvalue())

    def _keep(self, content: bytes) -> str:
        name = "b" + hashlib.sha256(content).hexdigest()[:20]
        self.buffers.setdefault(name, base64.b64encode(content).decode("ascii"))
        return name
