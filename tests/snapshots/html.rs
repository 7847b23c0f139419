//! HTML as an outline that is stable and short enough to review.

use std::fmt::Write as _;

/// Elements without content and end tag.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];
/// Elements whose line breaks are shown.
const PREFORMATTED: [&str; 2] = ["pre", "textarea"];
/// Coordinates in drawings: functions of the labels beside them and of the width of a date.
const COORDINATES: [&str; 13] = [
    "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "d", "points", "width", "height", "viewBox",
];

/// Element or text with what is below it.
#[derive(Default, PartialEq)]
struct Node {
    line: String,
    children: Vec<Node>,
}

/// Renders HTML as an outline: an element or a text a line, nested by indentation, with the first text of an element
/// beside its tag. Equal siblings in a row are printed once, with their number.
pub(crate) fn outline(html: &str) -> String {
    let mut text = String::new();
    print(&parse(html).children, 0, &mut text);
    text
}

/// Content of the first element with this name, with its tags; all of the HTML without one.
pub(crate) fn element<'a>(html: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}>");
    let found = html.find(&format!("<{name}")).zip(html.find(&end));
    found.map_or(html, |(from, to)| &html[from..to + end.len()])
}

fn print(nodes: &[Node], depth: usize, text: &mut String) {
    let mut rest = nodes;
    while let Some(node) = rest.first() {
        let equal = rest.iter().take_while(|other| *other == node).count();
        let times = match equal {
            1 => String::new(),
            _ => format!("({equal} times) "),
        };
        writeln!(text, "{:depth$}{times}{}", "", node.line, depth = depth * 2).unwrap();
        print(&node.children, depth + 1, text);
        rest = &rest[equal..];
    }
}

fn parse(html: &str) -> Node {
    let mut open: Vec<(String, Node)> = vec![(String::new(), Node::default())];
    let mut rest = html;
    while !rest.is_empty() {
        let (text, markup) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        add_text(&mut open, text);
        let Some(markup) = markup.strip_prefix('<') else {
            break;
        };
        let (tag, after) = split_tag(markup);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            close(&mut open, name.trim());
        } else if !tag.starts_with('!') {
            begin(&mut open, tag);
        }
    }
    while open.len() > 1 {
        end_last(&mut open);
    }
    open.remove(0).1
}

/// Splits after the `>` that ends a tag: values of attributes may contain one.
fn split_tag(markup: &str) -> (&str, &str) {
    let mut quote = None;
    for (index, character) in markup.char_indices() {
        match (quote, character) {
            (None, '>') => return (&markup[..index], &markup[index + 1..]),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    panic!("a tag does not end: <{markup}");
}

fn begin(open: &mut Vec<(String, Node)>, tag: &str) {
    let is_closed = tag.ends_with('/');
    let tag = tag
        .trim_end_matches('/')
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let name = tag.split(' ').next().unwrap().to_lowercase();
    let in_drawing = name == "svg" || open.iter().any(|(name, _)| name == "svg");
    let line = if in_drawing {
        without_coordinates(&tag)
    } else {
        tag
    };
    let node = Node {
        line,
        children: Vec::new(),
    };
    open.push((name.clone(), node));
    if is_closed || VOID.contains(&name.as_str()) {
        end_last(open);
    }
}

fn without_coordinates(tag: &str) -> String {
    let mut kept = String::new();
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        let (lead, name) = before.rsplit_once(' ').unwrap_or(("", before));
        kept.push_str(lead);
        if !COORDINATES.contains(&name) {
            write!(kept, " {name}=\"{value}\"").unwrap();
        }
        rest = after;
    }
    (kept + rest).trim_end().to_owned()
}

fn close(open: &mut Vec<(String, Node)>, name: &str) {
    let is_open = open.iter().any(|(opened, _)| opened == name);
    assert!(is_open, "</{name}> ends nothing");
    while open.len() > 1 {
        let is_it = open.last().unwrap().0 == name;
        end_last(open);
        if is_it {
            return;
        }
    }
}

fn end_last(open: &mut Vec<(String, Node)>) {
    let (_, node) = open.pop().unwrap();
    open.last_mut().unwrap().1.children.push(node);
}

fn add_text(open: &mut [(String, Node)], text: &str) {
    let is_preformatted = open.iter().any(|(name, _)| PREFORMATTED.contains(&name.as_str()));
    let node = &mut open.last_mut().unwrap().1;
    if is_preformatted && text.trim().contains('\n') {
        let lines = text.lines().map(|line| Node {
            line: format!("| {line}").trim_end().to_owned(),
            children: Vec::new(),
        });
        node.children.extend(lines);
        return;
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return;
    }
    let is_first = node.children.is_empty() && !node.line.contains(" | ") && !node.line.is_empty();
    if is_first {
        write!(node.line, " | {words}").unwrap();
    } else {
        node.children.push(Node {
            line: format!("| {words}"),
            children: Vec::new(),
        });
    }
}

#[test]
fn an_outline_shows_structure_attributes_and_text() {
    let html = "<!doctype html><main id=\"x\"><h1>Two\n words</h1><p>A <b>bold</b> one<br></p>\
        <ul><li>1</li><li>1</li><li>2</li></ul><pre>a\n  b</pre><svg width=\"9\" role=\"img\"><path d=\"M0\"/></svg></main>";
    let expected = "main id=\"x\"\n  h1 | Two words\n  p | A\n    b | bold\n    | one\n    br\n  ul\n    (2 times) li | 1\n    \
        li | 2\n  pre\n    | a\n    |   b\n  svg role=\"img\"\n    path\n";
    assert_eq!(outline(html), expected);
    assert_eq!(element(html, "ul"), "<ul><li>1</li><li>1</li><li>2</li></ul>");
}
