"""Hooks of the site's build (mkdocs.yml): a page of the site loads nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the plugin ``offline`` asks for, so that the search works from the disk; the same file lies beside this one."""
OWN = "site/iframe-worker-shim.js"


def on_config(config: Any) -> Any:
    """A page that nobody has put into the menu yet stands at its end, rather than nowhere."""
    folder = Path(config["docs_dir"])
    named = set(re.findall(r"[\w/-]+\.md", str(config["nav"])))
    missing = sorted(str(page.relative_to(folder)) for page in folder.rglob("*.md"))
    if more := [name for name in missing if name not in named]:
        config["nav"].append({"More": more})
    return config


def on_post_page(output: str, page: Any, **given: Any) -> str:
    return output.replace(SHIM, "../" * page.url.count("/") + OWN)


def on_post_template(output_content: str, **given: Any) -> str:
    return output_content.replace(SHIM, OWN)
