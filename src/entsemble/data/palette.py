"""The colours of labels and of pages: one palette for the page, the HTML files and the terminal, in light and dark."""

from __future__ import annotations

import colorsys

_HUES = (212, 28, 145, 325, 265, 180, 50, 0, 95, 290, 240, 70)
"""Of successive labels; neighbours are far apart."""

OTHER = "other"
"""The colour of labels that are none of the session's."""

_LIGHT = {
    "ground": "#ffffff",
    "ink": "#1b1d21",
    "faint": "#565d68",
    "line": "#c9ced6",
    "here": "#eef3fa",
    "main": "#0b5cad",
    "on-main": "#ffffff",
    "good": "#17692f",
    "bad": "#a4161a",
}
_DARK = {
    "ground": "#15171b",
    "ink": "#eceef2",
    "faint": "#aab1bd",
    "line": "#414853",
    "here": "#20252d",
    "main": "#8cc2ff",
    "on-main": "#10141a",
    "good": "#7bd897",
    "bad": "#ff9c9c",
}
_LABEL_LIGHTNESS = {"light": (0.86, 0.36), "dark": (0.24, 0.66)}
"""Of a mark's ground and edge."""

_LABEL_SATURATION = {"light": (0.75, 0.7), "dark": (0.45, 0.7)}


def hue(label_index: int) -> int:
    """The hue of the label at a position, in degrees."""
    return _HUES[label_index % len(_HUES)]


def colour_class(label_index: int) -> str:
    """The class of the label at a position; after the last colour they begin again."""
    return f"colour-{label_index % len(_HUES)}"


def terminal_colour(label_index: int) -> str:
    """The colour of the label at a position as `#rrggbb`, as the ground of black characters."""
    return _hex(hue(label_index), 0.65, 0.66)


def style_sheet() -> str:
    """The palette as CSS: variables for the page's colours, and a class for each label's."""
    light, dark = _rules(_LIGHT, "light"), _rules(_DARK, "dark")
    return f":root {{ color-scheme: light dark; }}\n{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _rules(colours: dict[str, str], scheme: str) -> str:
    variables = " ".join(f"--{name}: {value};" for name, value in colours.items())
    lines = [f":root {{ {variables} }}"]
    (ground_lightness, edge_lightness), (ground, edge) = _LABEL_LIGHTNESS[scheme], _LABEL_SATURATION[scheme]
    for index, label_hue in enumerate(_HUES):
        values = _hex(label_hue, ground, ground_lightness), _hex(label_hue, edge, edge_lightness)
        lines.append(_label_rule(colour_class(index), *values))
    lines.append(_label_rule(f"colour-{OTHER}", colours["here"], colours["faint"]))
    return "\n".join(lines) + "\n"


def _label_rule(name: str, ground: str, edge: str) -> str:
    return f".{name} {{ --label-ground: {ground}; --label-edge: {edge}; }}"


def _hex(degrees: int, saturation: float, lightness: float) -> str:
    red, green, blue = colorsys.hls_to_rgb(degrees / 360, lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
