//! Code to paste, with an advertiser's own values: postbacks from a server in nine languages, and from a page of an
//! advertiser without a server.

use askama::Template;

/// Values in a snippet.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) postback_url: &'a str,
    pub(super) token: &'a str,
    pub(super) secret: &'a str,
    pub(super) goal: &'a str,
    pub(super) currency: &'a str,
    pub(super) signed: bool,
}

/// Code in one language.
pub(super) struct Snippet {
    pub(super) language: &'static str,
    pub(super) code: String,
}

/// Values as literals of one language, quotes included.
struct Literals {
    postback_url: String,
    token: String,
    secret: String,
    click_id: String,
    goal: String,
    order_id: String,
    amount: String,
    currency: String,
    signed: bool,
}

impl Literals {
    fn new(values: Values<'_>, quote: fn(&str) -> String) -> Self {
        Self {
            postback_url: quote(values.postback_url),
            token: quote(values.token),
            secret: quote(values.secret),
            click_id: quote("CLICK_ID"),
            goal: quote(values.goal),
            order_id: quote("A-1001"),
            amount: quote("49.90"),
            currency: quote(values.currency),
            signed: values.signed,
        }
    }
}

macro_rules! snippets {
    ($($language:literal, $name:ident, $path:literal, $quote:ident;)+) => {
        $(
            #[derive(Template)]
            #[template(path = $path, escape = "none")]
            struct $name {
                postback_url: String,
                token: String,
                secret: String,
                click_id: String,
                goal: String,
                order_id: String,
                amount: String,
                currency: String,
                signed: bool,
            }

            impl From<Literals> for $name {
                fn from(literals: Literals) -> Self {
                    Self {
                        postback_url: literals.postback_url,
                        token: literals.token,
                        secret: literals.secret,
                        click_id: literals.click_id,
                        goal: literals.goal,
                        order_id: literals.order_id,
                        amount: literals.amount,
                        currency: literals.currency,
                        signed: literals.signed,
                    }
                }
            }
        )+

        /// Snippets with these values, in every language.
        pub(super) fn all(values: Values<'_>) -> Result<Vec<Snippet>, askama::Error> {
            Ok(vec![$(Snippet {
                language: $language,
                code: $name::from(Literals::new(values, $quote)).render()?,
            }),+])
        }
    };
}

snippets! {
    "curl", Curl, "integration/snippets/curl.sh", shell;
    "Node.js", Node, "integration/snippets/node.js", double;
    "Python", Python, "integration/snippets/python.py", double;
    "PHP", Php, "integration/snippets/php.php", single;
    "Ruby", Ruby, "integration/snippets/ruby.rb", single;
    "Go", Go, "integration/snippets/go.go", double;
    "Java", Java, "integration/snippets/java.java", double;
    "C#", CSharp, "integration/snippets/csharp.cs", double;
    "Rust", Rust, "integration/snippets/rust.rs", double;
}

/// Code that reports an order from a page of the advertiser.
#[derive(Default)]
pub(super) struct InBrowser {
    /// Image tag, for pages that can insert values.
    pub(super) pixel: String,
    /// Script for tag managers, which reads the values from the page.
    pub(super) tag: String,
}

#[derive(Template)]
#[template(path = "integration/snippets/pixel.txt", escape = "none")]
struct Pixel {
    picture_url: String,
    goal: String,
    currency: String,
}

#[derive(Template)]
#[template(path = "integration/snippets/tag.js", escape = "none")]
struct Tag {
    picture_url: String,
    goal: String,
    currency: String,
}

/// Code for the browser with these values. Contains neither token nor secret.
pub(super) fn in_browser(values: Values<'_>) -> Result<InBrowser, askama::Error> {
    let picture_url = format!("{}.gif", values.postback_url);
    Ok(InBrowser {
        pixel: Pixel {
            picture_url: attribute(&picture_url),
            goal: encoded(values.goal),
            currency: encoded(values.currency),
        }
        .render()?,
        tag: Tag {
            picture_url: inside_script(&picture_url),
            goal: inside_script(values.goal),
            currency: inside_script(values.currency),
        }
        .render()?,
    })
}

/// Text escaped for a quoted attribute.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

/// Percent-encoded value of a query. Needs no HTML escaping afterwards.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// `"…"` inside a `<script>` element, which the value cannot end.
fn inside_script(text: &str) -> String {
    double(text).replace('<', "\\u003c")
}

/// `"…"` as in JSON, which these languages parse alike.
fn double(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `'…'` with backslash escapes.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `'…'` for a shell, which has no escapes inside single quotes.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_appear_in_every_language_and_cannot_break_out() {
        let values = Values {
            postback_url: "https://trk.example/postback",
            token: "a'b\"c\\d",
            secret: "SIGNED_WITH",
            goal: "sale",
            currency: "EUR",
            signed: true,
        };
        let all = all(values).unwrap();
        assert_eq!(all.len(), 9);
        for snippet in all {
            let (language, code) = (snippet.language, snippet.code);
            assert!(code.contains("https://trk.example/postback"), "{language}");
            assert!(code.contains("SIGNED_WITH"), "{language}");
            assert!(!code.contains("{{"), "{language}: {code}");
        }
        assert_eq!(single("a'b\\"), r"'a\'b\\'");
        assert_eq!(shell("a'b"), r"'a'\''b'");
    }

    #[test]
    fn code_for_a_page_has_no_secret_and_cannot_break_out() {
        let values = Values {
            postback_url: "https://trk.example/postback",
            token: "THE_TOKEN",
            secret: "THE_SECRET",
            goal: "a\"</script><b>&c",
            currency: "EUR",
            signed: true,
        };
        let InBrowser { pixel, tag } = in_browser(values).unwrap();
        for code in [&pixel, &tag] {
            assert!(code.contains("https://trk.example/postback.gif"), "{code}");
            assert!(!code.contains("THE_") && !code.contains("</script>"), "{code}");
        }
        assert!(
            pixel.contains("&amp;goal=a%22%3C%2Fscript%3E%3Cb%3E%26c&amp;"),
            "{pixel}"
        );
        assert!(tag.contains(r#"goal: "a\"\u003c/script>\u003cb>&c","#), "{tag}");
    }
}
