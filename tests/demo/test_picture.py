"""The picture of a demo run: every line, without keys, as well-formed SVG."""

from xml.etree import ElementTree as ET

from demo.output.picture import picture


def test_the_picture_has_each_line_without_keys_and_within_its_width():
    root = ET.fromstring(picture(["  a <b> & c", "curl -H 'Bearer gwz_abc-D_9'", "x" * 500]))  # noqa: S314  our own text
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "  a <b> & c"
    assert texts[1] == "curl -H 'Bearer gwz_...'"
    assert len(texts[2]) == 132
    assert texts[2].endswith("\u2026")


def test_the_same_lines_give_the_same_picture():
    assert picture(["a", "b"]) == picture(["a", "b"])
