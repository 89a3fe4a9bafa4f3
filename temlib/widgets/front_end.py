"""What the painter and the reviewer share on the side of Python: micrographs by name, one shown, messages, pictures."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from PIL import Image

from temlib.errors import MicrographError, one_line
from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, load_micrograph, micrograph
from temlib.jobs.inputs import files_in, names_of
from temlib.widgets.explorers import someone_can_move_sliders
from temlib.widgets.strokes import BRUSH

__all__ = ["MicrographWidget", "front_end", "png_of", "sources_of"]

_HERE = Path(__file__).parent


class MicrographWidget(anywidget.AnyWidget):
    """A widget that shows one of several micrographs, and does what its front end asks for.

    A kind of it says what is known of a micrograph (``_taken_up``), does what is asked for (``_do``), tells the front
    end how things stand (``_show``), and gives a figure and a line of text for where nobody can use it (``_at_rest``).
    """

    _image = traitlets.Bytes().tag(sync=True)  # png: grey levels
    _state = traitlets.Dict().tag(sync=True)
    _brush = traitlets.Dict(BRUSH).tag(sync=True)

    def __init__(self, micrographs: Any, folder: str | os.PathLike) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._sources = sources_of(micrographs)
        self._names = list(self._sources)
        self._opened: dict[int, Any] = {}
        self._index = 0
        self._answered: list[Any] = ["", 0]
        self.on_msg(lambda _, message, __: self._receive(message))

    def show(self, index: int) -> None:
        """Turn to a micrograph, counted from 0."""
        self._open(index)
        self._index = index
        self._show_image()

    def save(self, overwrite: bool = False) -> None:
        """Save what was done to the micrograph that is shown, which each change does anyway.

        Parameters
        ----------
        overwrite : bool
            Replace also what another widget has written since it was read.
        """
        self._here.save(overwrite)
        self._show()

    def _open(self, index: int) -> Any:
        """Give what is known of a micrograph, which is read when it is asked for first."""
        if index not in self._opened:
            name = self._names[index]
            source = self._sources[name]
            image = load_micrograph(source) if isinstance(source, Path) else source
            image = image if hasattr(image, "axes_manager") else micrograph(as_array(image), title=name)
            self._opened[index] = self._taken_up(index, name, image)
        return self._opened[index]

    @property
    def _here(self) -> Any:
        """What is known of the micrograph that is shown."""
        return self._open(self._index)

    def _readable(
        self, order: Iterable[int], flaws: dict[str, MicrographError], show: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Open, or show, micrographs one after another; those that cannot be are passed over, among the flaws."""
        for index in order:
            try:
                if show:
                    self.show(index)
                opened = self._open(index)
            except MicrographError as error:
                flaws[self._names[index]] = error
            else:
                yield index, opened

    def _step(self, message: dict[str, Any]) -> None:
        """Turn to the next micrograph that can be opened, or the one before, and say which ones cannot."""
        n, flaws = len(self._names), dict[str, MicrographError]()
        step = 1 if int(message["step"]) > 0 else -1
        next(self._readable(((self._index + step * far) % n for far in range(1, n + 1)), flaws, show=True), None)
        if flaws:
            passed = "; ".join(f"{name} is passed over: {one_line(error, 200)}" for name, error in flaws.items())
            self._show(f"{passed[:400]}. {self._state['message']}".strip())

    def _receive(self, message: dict[str, Any]) -> None:
        """Do what the front end asks for; what cannot be done is said under the picture."""
        self._answered = [message.get("view", ""), message.get("serial", 0)]
        try:
            self._do(message)
        except (ValueError, OSError, KeyError, TypeError) as error:
            self._show(one_line(error, 500))

    def _show_image(self) -> None:
        grey = np.rint((normalise(self._here.image) + 1) * 127.5).astype(np.uint8)
        with self.hold_sync():
            self._image = png_of(grey)
            self._show()

    def _place(self, message: str) -> dict[str, Any]:
        """Give what the front end is told of any micrograph that is shown."""
        height, width = as_array(self._here.image).shape
        return {
            "name": self._names[self._index],
            "index": self._index,
            "count": len(self._names),
            "height": height,
            "width": width,
            "folder": str(self.folder),
            "message": message,
            "answered": self._answered,
        }

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the widget where somebody can use it, and a picture in a notebook that runs by itself."""
        if someone_can_move_sliders():
            return super()._repr_mimebundle_(**options)
        figure, text = self._at_rest()
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        plt.close(figure)
        return {"image/png": b64encode(picture.getvalue()).decode(), "text/plain": text}


def front_end(*names: str) -> str:
    """Give the text of a widget's JavaScript, or of its style sheets, from files."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def sources_of(micrographs: Any) -> dict[str, Any]:
    """Name each micrograph: files after their stems, others after their titles."""
    single = isinstance(micrographs, str | os.PathLike | np.ndarray) or hasattr(micrographs, "axes_manager")
    given = [micrographs] if single else list(micrographs)
    if given and all(isinstance(each, str | os.PathLike) for each in given):
        return dict(names_of(files_in([Path(each) for each in given])))
    if not given:
        raise MicrographError("there is nothing to look at; pass micrographs, files or a folder")
    sources: dict[str, Any] = {}
    for number, each in enumerate(given, start=1):
        as_array(each)
        title = each.metadata.get_item("General.title", "") if hasattr(each, "metadata") else ""
        name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in title).strip(". ") or f"micrograph_{number}"
        names = chain([name], (f"{name}_{n}" for n in count(number)))
        sources[next(free for free in names if free not in sources)] = each
    return sources


def png_of(array: np.ndarray) -> bytes:
    """Give an array as a png file: grey levels of uint8, or colours of shape (height, width, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
