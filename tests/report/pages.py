"""Reading a page as a strict reader: every element closed, ids, links, pictures, and the text that is shown."""

from html.parser import HTMLParser

VOID = {"meta", "img", "source"}


class Page(HTMLParser):
    """A page taken apart; fails at the first element that is not closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, name, key):
        """Values of an attribute of all elements of a name (any, if None) that have it."""
        return [attrs[key] for tag, attrs in self.elements if name in (tag, None) and key in attrs]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())
