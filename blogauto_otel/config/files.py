"""Read a declarative configuration file: JSON, or YAML where PyYAML is installed; `${VARIABLE}` is substituted.

https://opentelemetry.io/docs/specs/otel/configuration/data-model/#environment-variable-substitution
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel.errors import ConfigurationError, MissingDependencyError

MAX_BYTES: Final = 1_048_576

_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}\n]*))?\}|\$\{")


@dataclass
class Substitution:
    """Replaces references to environment variables, and remembers their names."""

    environ: Mapping[str, str]
    names: set[str] = field(default_factory=set)

    def __call__(self, text: str) -> str:
        """The text with `${NAME}` and `${NAME:-default}` replaced, `$$` being a dollar sign."""
        return _REFERENCE.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        name, default = match.groups()
        if match.group() == "$$":
            return "$"
        if name is None:
            raise ConfigurationError("expected references of the form ${NAME} or ${NAME:-default}")
        self.names.add(name)
        return self.environ.get(name) or default or ""


def read_file(path: str, substitute: Substitution) -> Mapping[str, Any]:
    """The content of a file, references substituted.

    Raises:
        ConfigurationError: it cannot be read, or holds no mapping; the message does not name the file.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"it cannot be read ({type(error).__name__})") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"expected a file of at most {MAX_BYTES} bytes")
    content = _from_json(text, substitute) if text.lstrip().startswith("{") else _from_yaml(text, substitute)
    if not isinstance(content, Mapping):
        raise ConfigurationError("expected a mapping")
    return content


def _from_json(text: str, substitute: Substitution) -> Any:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # YAML may begin like this too
        return _from_yaml(text, substitute)
    return _substituted(content, substitute)


def _substituted(value: Any, substitute: Substitution) -> Any:
    if isinstance(value, str):
        return substitute(value)
    if isinstance(value, list):
        return [_substituted(item, substitute) for item in value]
    if isinstance(value, dict):
        return {key: _substituted(item, substitute) for key, item in value.items()}
    return value


def _from_yaml(text: str, substitute: Substitution) -> Any:
    try:
        import yaml
    except (Exception, SystemExit):  # noqa: BLE001 - a broken package counts as missing
        missing = MissingDependencyError("YAML", "pyyaml", extra="config")
        raise ConfigurationError(f"{missing}; JSON needs no package") from None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _substitute_nodes(loader, node, substitute)
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"expected YAML{where} ({type(error).__name__})") from None
    finally:
        loader.dispose()


def _substitute_nodes(loader: Any, root: Any, substitute: Substitution) -> None:
    """Substitute in values, never in keys; a value without quotes then has the type that it looks like."""
    import yaml

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif "$" in node.value:
            node.value = substitute(node.value)
            if node.style is None:
                node.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))
