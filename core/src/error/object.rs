use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::catalogue::{Audience, Code, Exit};
use super::text::printable;

/// A result whose error is ours.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: a stable [`Code`], ordered context, and a message rendered from the two.
///
/// `Display` is one line, `CODE: message`. `Serialize` writes `{code, message, help?, retryable, context}`.
///
/// ```
/// use signoff::{Code, Error};
/// let error = Error::new(Code::ProposalNotFound).with("proposal", "wrp_1");
/// assert_eq!(error.to_string(), "PROPOSAL_NOT_FOUND: no proposal `wrp_1` in this ledger");
/// assert!(!error.retryable());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    context: Vec<(&'static str, String)>,
}

impl Error {
    /// An error with this code and no context yet.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { inner: Box::new(Inner { code, context: Vec::new() }) }
    }

    /// Adds a context field. The message shows it where its template names it; it is made printable there. What somebody
    /// gave us by mistake is not said again: a value that looks like a credential is `[redacted]`.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        #[cfg(feature = "runtime")]
        let value = if super::looks_secret(&value) { "[redacted]".to_owned() } else { value };
        self.inner.context.push((field, value));
        self
    }

    /// An error as it came back from a caller who was told of it. Of the context, what the message speaks of is kept.
    #[must_use]
    pub fn retold(code: Code, context: &BTreeMap<String, String>) -> Self {
        let info = code.info();
        let names = [info.message, info.help].into_iter().flat_map(|template: &'static str| {
            template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        });
        let mut error = Self::new(code);
        for name in names {
            if let (None, Some(value)) = (error.field(name), context.get(name)) {
                error = error.with(name, value);
            }
        }
        error
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// True if the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.code().info().retryable
    }

    /// Who may see the message.
    #[must_use]
    pub fn audience(&self) -> Audience {
        self.code().info().audience
    }

    /// The exit code a command line answers with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.code().info().exit
    }

    /// The context fields in the order in which they were given.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.inner.context.iter().map(|(field, value)| (*field, value.as_str()))
    }

    /// One context field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.context().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The message, rendered: lower case, no full stop, outside input in backticks.
    #[must_use]
    pub fn message(&self) -> String {
        self.render(self.code().info().message)
    }

    /// What to do about it, if there is more to say than the message does.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = self.code().info().help;
        (!help.is_empty()).then(|| self.render(help))
    }

    fn render(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            // Help shows JSON, too, and a brace of that is only a brace.
            let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
                out.push('{');
                rest = after;
                continue;
            };
            out.push_str(&self.field(name).map_or_else(|| "?".to_owned(), printable));
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code(), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        for (field, value) in self.context() {
            write!(formatter, "\n  {field}: {}", printable(value))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Context<'a>(&'a Error);
        impl Serialize for Context<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.context())
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code().as_str())?;
        map.serialize_entry("message", &self.message())?;
        if let Some(help) = self.help() {
            map.serialize_entry("help", &help)?;
        }
        map.serialize_entry("retryable", &self.retryable())?;
        map.serialize_entry("context", &Context(self))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_may_show_json() {
        let help = Error::new(Code::VersionIsNull).help().unwrap();
        assert!(help.contains(r#"{"weak_guard_ack": true}"#), "{help}");
    }

    #[test]
    fn context_is_printable_in_the_message_and_verbatim_in_the_field() {
        let error = Error::new(Code::ProposalNotFound).with("proposal", "x\u{1b}[0m");
        assert!(error.message().contains("x\\u{1b}[0m"));
        assert_eq!(error.field("proposal"), Some("x\u{1b}[0m"));
    }

    #[test]
    fn a_missing_field_is_a_question_mark_and_never_a_panic() {
        assert_eq!(Error::new(Code::ProposalNotFound).message(), "no proposal `?` in this ledger");
    }
}
