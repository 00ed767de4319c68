"""The parts of the package's metadata that depend on where the project is published.

PROJECT_URL names the page of the repository when a release is built. With the URL, the package has project
URLs, and the links of its README are absolute and lead to the files of the version. Without the URL, the text
of a link replaces the link: a package index has no files of the repository.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")
"""A link or an image whose target is a file of the repository."""
BLOCK = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


class PackageMetadata(MetadataHookInterface):
    """Adds the README and the URLs of the project to the metadata."""

    def update(self, metadata: dict[str, object]) -> None:
        """Called by hatchling with the table `project` of pyproject.toml."""
        root = Path(self.root)
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        text = packaged_readme(
            (root / "README.md").read_text("utf-8"), url=url, tag=f"v{metadata['version']}"
        )
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = _urls(url, tag=f"v{metadata['version']}") if url else {}


def packaged_readme(text: str, *, url: str, tag: str) -> str:
    """Makes the links of the README absolute, or replaces the links by their texts."""

    def replace(link: re.Match[str]) -> str:
        mark, label, target = link.groups()
        if not url:
            return "" if mark else label
        return f"{mark}[{label}]({url}/{'raw' if mark else 'blob'}/{tag}/{target})"

    # Blocks of code stay as they are: code may look like a link.
    parts = BLOCK.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(replace, part) for part in parts)


def _urls(url: str, *, tag: str) -> dict[str, str]:
    return {
        "Repository": url,
        "Documentation": f"{url}/blob/{tag}/README.md",
        "Changelog": f"{url}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
