"""Declarative configuration (`OTEL_CONFIG_FILE`): translate the nodes of a file into the variables that they stand for.

https://opentelemetry.io/docs/specs/otel/configuration/data-model/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel.config.files import Substitution, read_file
from blogauto_otel.config.nodes import (
    COMPOSITE,
    DEFAULT_DELEGATES,
    EXPORTERS,
    FOLLOW_PARENT,
    LOW_PRIORITY,
    PROVIDERS,
    SAMPLERS,
    VARIABLES,
    text_of,
    typed,
)
from blogauto_otel.config.views import ViewConfig, view_of


@dataclass(frozen=True)
class FileSettings:
    """The content of a file: texts of variables, their paths in the file, and nodes without effect."""

    texts: Mapping[str, str]
    node_paths: Mapping[str, str]
    resource_attributes: Mapping[str, Any]  # with their types, which no text of a variable holds
    views: tuple[ViewConfig, ...]
    unsupported: tuple[str, ...]
    problems: tuple[str, ...]
    substituted: frozenset[str]  # environment variables that the file refers to

    def replaces(self, variable: str) -> bool:
        """Whether the file replaces this variable: true for variables of the specification."""
        return variable.startswith("OTEL_") and not variable.startswith(
            ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_CONFIG_FILE")
        )


def load_file(path: str, environ: Mapping[str, str]) -> FileSettings:
    """Read and translate a file.

    Raises:
        ConfigurationError: the file cannot be used at all.
    """
    substitution = Substitution(environ)
    translation = _Translation()
    translation.walk(read_file(path, substitution), "")
    translation.finish()
    return FileSettings(
        translation.texts,
        translation.node_paths,
        translation.resource_attributes,
        tuple(translation.views),
        tuple(translation.unsupported),
        tuple(translation.problems),
        frozenset(substitution.names),
    )


# --- the walk --------------------------------------------------------------------------------------------------------


@dataclass
class _Translation:
    texts: dict[str, str] = field(default_factory=dict)
    node_paths: dict[str, str] = field(default_factory=dict)
    resource_attributes: dict[str, Any] = field(default_factory=dict)
    views: list[ViewConfig] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    exporters: dict[str, list[str]] = field(default_factory=lambda: {signal: [] for signal in PROVIDERS})

    def walk(self, node: Any, path: str) -> None:
        """Translate a node and those below it."""
        key = re.sub(r"\[\d+\]", "", path)
        try:
            if key in VARIABLES:
                self._set(key, node, path)
            elif key in _HANDLERS:
                _HANDLERS[key](self, node, path)
            elif key not in EXPORTERS or self._add_exporter(*EXPORTERS[key]):
                self._descend(key, node, path)
            else:
                self.unsupported.append(path)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            expected = str(error) if type(error) is ValueError else "expected the form of the specification"
            self.problems.append(f"{path}: {expected}")

    def _descend(self, key: str, node: Any, path: str) -> None:
        if key not in _KNOWN or not (node is None or isinstance(node, (Mapping, list))):
            self.unsupported.append(path)
        elif isinstance(node, Mapping):
            for name, below in node.items():
                self.walk(below, f"{path}.{name}" if path else str(name))
        elif isinstance(node, list):
            for index, below in enumerate(node):
                self.walk(below, f"{path}[{index}]")

    def _set(self, key: str, node: Any, path: str) -> None:
        if node is None:
            return
        variable, convert = VARIABLES[key]
        text, other = convert(node), self.texts.get(variable)
        if other and text:  # of two lists of pairs, the later pair wins
            is_first = key.endswith(LOW_PRIORITY) != key.startswith("propagator.")
            text = f"{text},{other}" if is_first else f"{other},{text}"
        self.texts[variable], self.node_paths[variable] = text, path

    def _add_exporter(self, signal: str, kind: str) -> bool:
        """False for a second OTLP exporter: there is one endpoint for each signal."""
        name = "otlp" if kind.startswith("otlp") else kind
        if name in self.exporters[signal]:
            return name != "otlp"
        self.exporters[signal].append(name)
        if name == "otlp":
            protocol = "grpc" if kind == "otlp_grpc" else "http/protobuf"
            self.texts[f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"] = protocol
        return True

    def finish(self) -> None:
        """A provider or propagator that the file omits is off, as the specification says."""
        for signal, names in self.exporters.items():
            self.texts[f"OTEL_{signal.upper()}_EXPORTER"] = ",".join(names) or "none"
        if not self.texts.get("OTEL_PROPAGATORS"):
            self.texts["OTEL_PROPAGATORS"] = "none"

    # -- nodes that need more than a conversion

    def file_format(self, node: Any, path: str) -> None:  # noqa: ARG002 - a row of a table
        """The version of the format."""
        if not re.match(r"(0\.[34]|1\.\d+)(-|$)", text_of(node)):
            raise ValueError(f"{text_of(node)!r} is not known; expected 1.0")

    def attributes(self, node: Any, path: str) -> None:  # noqa: ARG002
        """Resource attributes, with their types."""
        for item in node or ():
            value = typed(item["value"], item.get("type"))
            if value is not None:
                self.resource_attributes[str(item["name"])] = value

    def view(self, node: Any, path: str) -> None:
        """The views of the meter provider."""
        for index, view in enumerate(node or ()):
            self.views.append(view_of(view, f"{path}[{index}]", self.unsupported.append))

    def encoding(self, node: Any, path: str) -> None:
        """Of OTLP by HTTP."""
        if node not in (None, "protobuf"):
            self.unsupported.append(f"{path}={node}")

    def sampler(self, node: Any, path: str) -> None:
        """A sampler, or one that follows the parent with a sampler for roots."""
        if node is None:
            return
        name, ratio, node_path = self._sampler(node, path)
        if name is None:
            self.unsupported.append(node_path)
            return
        self.texts["OTEL_TRACES_SAMPLER"], self.node_paths["OTEL_TRACES_SAMPLER"] = name, node_path
        if ratio is not None:
            self.texts["OTEL_TRACES_SAMPLER_ARG"] = text_of(ratio)

    def _sampler(self, node: Any, path: str) -> tuple[str | None, Any, str]:
        """Name and ratio of a sampler, and its path; no name where nothing here does the same."""
        [(kind, options)] = node.items()
        options, node_path = options or {}, f"{path}.{kind}"
        if kind == COMPOSITE:
            return self._sampler(options, node_path)
        if kind in FOLLOW_PARENT:
            if kind == "parent_based":
                self._check_delegates(options, node_path)
            name, ratio, node_path = self._sampler(options.get("root") or {"always_on": None}, f"{node_path}.root")
            return (f"parentbased_{name}" if name in SAMPLERS.values() else None), ratio, node_path
        return SAMPLERS.get(kind), options.get("ratio"), node_path

    def _check_delegates(self, delegates: Mapping[str, Any], path: str) -> None:
        for name, sampler in delegates.items():
            if name != "root" and sampler is not None and list(sampler) != [DEFAULT_DELEGATES.get(name)]:
                self.unsupported.append(f"{path}.{name}")


_HANDLERS: Final[Mapping[str, Callable[[_Translation, Any, str], None]]] = MappingProxyType(
    {
        "file_format": _Translation.file_format,
        "resource.attributes": _Translation.attributes,
        "tracer_provider.sampler": _Translation.sampler,
        "meter_provider.views": _Translation.view,
        **{f"{node}.encoding": _Translation.encoding for node, (_, kind) in EXPORTERS.items() if kind == "otlp_http"},
    }
)


def _known_nodes() -> frozenset[str]:
    """Every node above one that has a meaning, and the exporters, which have one by being there."""
    nodes = {"", *EXPORTERS}
    for key in (*VARIABLES, *_HANDLERS, *EXPORTERS):
        parts = key.split(".")
        nodes.update(".".join(parts[:length]) for length in range(1, len(parts)))
    return frozenset(nodes)


_KNOWN: Final = _known_nodes()
