"""docs/book.py, on books of its own: what leads nowhere, or is run by nobody, is named with its line."""

import importlib.util

import pytest

from harness import ROOT

GOOD = {"docs/index.md": "# Book\n\n## Part\n\n- [A](a.md)\n- [Front](../README.md#try-it)\n",
        "docs/a.md": "# A page\n\n## Say *it*, twice\n\n[here](#say-it-twice)\n\n```sh\ntrue\n```\n",
        "README.md": "# Front\n\n## Try it\n\n[A](docs/a.md), [elsewhere](https://example.com), [a file](runner.py)\n",
        "runner.py": "run('docs/a.md')\n"}


@pytest.fixture
def book(tmp_path):
    """book(pages) -> the module docs/book.py, looking at a tree of these."""
    def make(pages):
        spec = importlib.util.spec_from_file_location("book", ROOT / "docs/book.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.ROOT, module.INDEX, module.RUN_BY = tmp_path, tmp_path / "docs/index.md", {"": "runner.py"}
        for name, text in pages.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return module
    return make


def test_a_good_book_is_html_with_every_page_at_the_side(book, tmp_path):
    made = book(GOOD)
    pages = made.read()
    assert list(made.faults(pages)) == []
    made.write(pages, tmp_path / "html")
    front = (tmp_path / "html/README.html").read_text()
    assert '<a href="a.html">A</a>' in front and "<li><a href=a.html>A page</a></li>" in front
    assert (tmp_path / "html/runner.py").read_text() == GOOD["runner.py"]
    assert 'id="say-it-twice"' in (tmp_path / "html/a.html").read_text()


@pytest.mark.parametrize("page, before, after, fault", [
    ("docs/a.md", "(#say-it-twice)", "(#say-it)", "docs/a.md:5: #say-it: there is no such heading"),
    ("README.md", "docs/a.md", "a.md", "README.md:5: a.md is no page of the book"),
    ("docs/index.md", "- [A](a.md)\n", "", "docs/a.md: docs/index.md does not list it"),
    ("docs/a.md", "```sh\n", "```sh some-day\n", "docs/a.md:7: no test runs a block of 'sh some-day'"),
    ("runner.py", "docs/a.md", "docs/b.md", "docs/a.md:7: no test runs a block of 'sh'"),
    ("README.md", "(runner.py)", "(run.py)", "README.md:5: run.py is no page of the book"),
    ("docs/a.md", "```sh\n", "```bash\n", "docs/a.md:7: no test runs a block of 'bash'"),
])
def test_a_fault_is_named_with_its_line(book, page, before, after, fault):
    made = book({**GOOD, page: GOOD[page].replace(before, after)})
    assert fault in list(made.faults(made.read()))
