//! Code that works pasted, with an advertiser's own values in place: how its server reports an order, in nine languages,
//! and how its page does where there is no server to do it.

use askama::Template;

/// What stands in a snippet.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) postback_url: &'a str,
    pub(super) token: &'a str,
    pub(super) secret: &'a str,
    pub(super) goal: &'a str,
    pub(super) currency: &'a str,
    pub(super) signed: bool,
}

/// A language with its code.
pub(super) struct Snippet {
    pub(super) language: &'static str,
    pub(super) code: String,
}

/// Literals of one language: each value as an expression, quotes included.
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
                fn from(it: Literals) -> Self {
                    Self {
                        postback_url: it.postback_url,
                        token: it.token,
                        secret: it.secret,
                        click_id: it.click_id,
                        goal: it.goal,
                        order_id: it.order_id,
                        amount: it.amount,
                        currency: it.currency,
                        signed: it.signed,
                    }
                }
            }
        )+

        /// The snippets with these values in place.
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

/// What reports an order from a page of the advertiser's own.
#[derive(Default)]
pub(super) struct InBrowser {
    /// An image, for whoever can put values into the page.
    pub(super) pixel: String,
    /// A script for tag managers, which finds the values itself.
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

/// Both with these values in place, none of which is a secret.
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

/// Text between the quotes of an attribute.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

/// A value of a query: percent-encoded, which leaves nothing that HTML would read.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// `"…"` in a script that stands in a page: nothing in it can end the script.
fn inside_script(text: &str) -> String {
    double(text).replace('<', "\\u003c")
}

/// `"…"`: as JSON has it, which these languages read alike.
fn double(text: &str) -> String {
    // A string: serialising it cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

/// `'…'` with a backslash before what would end it.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `'…'` for a shell, which knows no backslash in it.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_every_language_and_cannot_break_out() {
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
    fn what_stands_in_a_page_holds_no_secret_and_cannot_break_out() {
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
