"""How the documentation is built: ``make docs``."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "pytest-concurrency-slo"
author = "The pytest-concurrency-slo maintainers"
release = version = installed_version(project)

extensions = [
    "from_the_plugin",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = True
add_module_names = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autoclass_content = "class"
napoleon_numpy_docstring = False

# Prompts are for reading; what is copied is the command.
copybutton_prompt_text = "$ "
copybutton_here_doc_delimiter = "EOF"

html_theme = "furo"
html_title = "pytest-concurrency-slo"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False

# References into other projects need their inventories, which are on the web: a build without
# DOCS_ONLINE checks our own references only.
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "pytest": ("https://docs.pytest.org/en/stable", None),
        "sqlalchemy": ("https://docs.sqlalchemy.org/en/20", None),
    }
nitpick_ignore_regex = [
    (r"py:.*", r"(?!pytest_concurrency\.).*"),  # names of other projects
    (r"py:.*", r"pytest_concurrency\.[a-z]+\..*"),  # names that users never type
]
