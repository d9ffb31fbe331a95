#!/usr/bin/python3
"""Makes the book: the pages that docs/index.md lists, as HTML with one list of them all at the side.

    docs/book.py DIR         writes it there (make book: build/book)
    docs/book.py             checks only

Fails, and names the line, when a link or an anchor leads nowhere, when a page of docs/ is not listed, or when no
test runs the commands of a ```sh block (RUN_BY)."""

import html
import pathlib
import re
import shutil
import sys

from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).resolve().parent.parent
INDEX = ROOT / "docs/index.md"
RUN_BY = {            # the mark after ```sh, and who runs such blocks of the pages that it names
    "": "tests/readme.py",
    "new-machine": "tests/readme.py",
    "ci": ".ci/run",
    "kubernetes": "tests/kubernetes/test_page.py",
    "disaster": "tests/e2e/test_disasters.py",
    "cluster": "tests/kafka/test_incidents.py",
}
STYLE = """body{margin:0;display:flex;font:16px/1.5 sans-serif;color:#222}nav{flex:0 0 15em;padding:1em;background:#f4f4f2}
nav ul{list-style:none;padding:0}nav .here{font-weight:bold}main{flex:1;min-width:0;max-width:52em;padding:1em 2em}
pre{background:#f4f4f2;padding:.7em;overflow-x:auto}code{font-size:.9em}table{border-collapse:collapse}
td,th{border:1px solid #ccc;padding:.2em .5em;text-align:left;vertical-align:top}a{color:#0645ad}
@media(max-width:50em){body{display:block}}@media print{nav{display:none}}"""


def slug(title, taken):
    """The anchor of a heading, as GitHub makes it."""
    name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


class Page:
    """One file, read: its anchors, links and blocks of commands."""

    def __init__(self, path, reader):
        self.path, self.reader = path, reader
        self.tokens = reader.parse(path.read_text())
        self.file = f"{path.stem.lower() if path.parent.name == 'docs' else path.stem}.html"
        self.anchors, self.title, self.links, self.blocks, taken = set(), path.stem, [], [], {}
        for number, token in enumerate(self.tokens):
            if token.type == "heading_open":
                text = "".join(part.content for part in self.tokens[number + 1].children)
                token.attrs["id"] = slug(text, taken)
                self.anchors.add(token.attrs["id"])
                if token.tag == "h1":
                    self.title = text
            elif token.type == "inline":
                self.links += [(token.map[0] + 1, part) for part in token.children if part.type == "link_open"]
            elif token.type == "fence" and token.info.split()[:1] in (["sh"], ["bash"]):
                self.blocks.append((token.map[0] + 1, token.info.strip()))

    def target(self, href):
        """(path, anchor) that a link of this page leads to."""
        name, _, anchor = href.partition("#")
        return (self.path.parent / name).resolve() if name else self.path, anchor


def outside(href):
    return re.match(r"[a-z]+:", href)


def read():
    """{path: page}: the index, and in its order what it lists."""
    reader = MarkdownIt("commonmark").enable("table")
    index = Page(INDEX, reader)
    listed = [index.target(link.attrs["href"])[0] for _, link in index.links if not outside(link.attrs["href"])]
    return {path: Page(path, reader) for path in [INDEX, *listed] if path.exists()}


def faults(pages):
    runners = {mark: (ROOT / file).read_text() for mark, file in RUN_BY.items()}
    for path in sorted(set((ROOT / "docs").glob("*.md")) - pages.keys()):
        yield f"{path.relative_to(ROOT)}: docs/index.md does not list it"
    for page in pages.values():
        where = page.path.relative_to(ROOT)
        for line, link in page.links:
            href = link.attrs["href"]
            path, anchor = page.target(href)
            if outside(href):
                continue
            if path not in pages and (path.suffix == ".md" or not path.is_file()):
                yield f"{where}:{line}: {href} is no page of the book"
            elif anchor and anchor not in pages[path].anchors:
                yield f"{where}:{line}: {href}: there is no such heading"
        for line, info in page.blocks:
            kind, _, mark = info.partition(" ")
            if kind != "sh" or mark not in RUN_BY or (mark != "ci" and str(where) not in runners[mark]):
                yield f"{where}:{line}: no test runs a block of '{info}'"


def outline(pages):
    """The index in short: its headings, and below them the pages that it links to."""
    parts, index = [("", [])], pages[INDEX]
    for number, token in enumerate(index.tokens):
        if token.type == "heading_open" and token.tag == "h2":
            parts.append((index.tokens[number + 1].content, []))
        elif token.type == "inline":
            targets = [index.target(part.attrs["href"])[0] for part in token.children if part.type == "link_open"]
            parts[-1][1].extend(pages[path] for path in targets if path in pages)
    return parts


def side(parts, here):
    def line(page):
        return f"<li{' class=here' if page is here else ''}><a href={page.file}>{html.escape(page.title)}</a></li>"
    return "".join(f"<b>{html.escape(title)}</b><ul>{''.join(map(line, listed))}</ul>" for title, listed in parts)


def write(pages, directory):
    directory.mkdir(parents=True, exist_ok=True)
    parts, index = outline(pages), pages[INDEX]
    for page in pages.values():
        for _, link in page.links:
            href = link.attrs["href"]
            if not outside(href):
                path, anchor = page.target(href)
                if path in pages:
                    link.attrs["href"] = pages[path].file + ("#" + anchor if anchor else "")
                else:  # a file of the source
                    link.attrs["href"] = shutil.copy(path, directory / path.name).name
    for page in pages.values():
        body = page.reader.renderer.render(page.tokens, page.reader.options, {})
        (directory / page.file).write_text(
            f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{html.escape(page.title)} - Shout</title><style>{STYLE}</style>"
            f"<nav><a href={index.file}>{html.escape(index.title)}</a>{side(parts, page)}</nav><main>{body}</main></html>\n")


def main():
    pages = read()
    found = list(faults(pages))
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        return 1
    if len(sys.argv) > 1:
        write(pages, pathlib.Path(sys.argv[1]))
        print(f"{len(pages)} pages: {sys.argv[1]}/{pages[INDEX].file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
