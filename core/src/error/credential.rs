//! What looks like a credential. Errors ask it too, so it stands below everything else.

/// True for a value that is a credential or contains one: a database address, a key block, a bearer token, a JWT or a
/// well-known kind of key. Prose such as `Bearer bonds please` is not one.
#[must_use]
pub fn looks_secret(value: &str) -> bool {
    has_a_mark(value) && fits_a_pattern(value)
}

fn fits_a_pattern(value: &str) -> bool {
    use regex_lite::Regex;
    use std::sync::LazyLock;

    static ANYWHERE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\b(postgres|postgresql|mysql|mariadb|mongodb|mongodb\+srv|redis|rediss|amqp|amqps)://\S+|\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bbearer\s+[a-z._~+/=-]*[0-9][a-z0-9._~+/=-]{15}",
        )
        .ok()
    });
    // Nothing else is written so, whatever stands around it.
    static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"\b(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|syn_wbr_[A-Za-z0-9_-]+|wh(?:sec|sk)_[A-Za-z0-9+/=_-]{16}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8}|gh[pousr]_[A-Za-z0-9]{20}|xox[abprs]-[A-Za-z0-9-]{10}|AKIA[0-9A-Z]{16}\b|sk-(?:proj|ant|svcacct)-[A-Za-z0-9_-]{16}|AIza[0-9A-Za-z_-]{30}|glpat-[A-Za-z0-9_-]{16}|npm_[A-Za-z0-9]{30}|github_pat_[A-Za-z0-9_]{20})",
        )
        .ok()
    });
    static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[Bb]earer\s+[A-Za-z0-9._~+/=-]{16,}$").ok());
    // A pattern that failed to compile would make every value secret: the safe side, and a test sees it.
    let matches =
        |pattern: &LazyLock<Option<Regex>>, text: &str| pattern.as_ref().is_none_or(|regex| regex.is_match(text));
    matches(&ANYWHERE, value) || matches(&KEY, value) || matches(&WHOLE, value.trim())
}

/// Every credential has one of these, and few other texts do: most are told apart without a pattern.
fn has_a_mark(value: &str) -> bool {
    const MARKS: [&str; 22] = [
        "://",
        "-----",
        "eyJ",
        "syn_wbr_",
        "whsec_",
        "whsk_",
        "_live_",
        "_test_",
        "gho_",
        "ghp_",
        "ghu_",
        "ghs_",
        "ghr_",
        "xox",
        "AKIA",
        "sk-proj-",
        "sk-ant-",
        "sk-svcacct-",
        "AIza",
        "glpat-",
        "npm_",
        "github_pat_",
    ];
    const BEARER: &[u8] = b"bearer";
    MARKS.iter().any(|mark| value.contains(mark))
        || value.as_bytes().windows(BEARER.len()).any(|part| part.eq_ignore_ascii_case(BEARER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_recognised_and_prose_is_not() {
        for secret in [
            "postgres://u:p@h/db",
            "see MySQL://root:x@db",
            "https://user:hunter2@example.com/x",
            "Bearer abcdefghijklmnop1234",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.sig_-1",
            "-----BEGIN RSA PRIVATE KEY-----\nabc",
            "ghp_abcdefghijklmnopqrstuvwx",
            "use ghp_abcdefghijklmnopqrstuvwx for the refund, thanks",
            "key=AKIAIOSFODNN7EXAMPLE, please",
            "(sk_live_4eC39HqLyjWDarjtT1zdp7dc)",
            "token: xoxb-123456789012-abc.",
            "with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.sig_-1 it works",
            "Authorization: Bearer abcdef0123456789abcdef0123, please",
        ] {
            assert!(looks_secret(secret), "{secret}");
        }
        for prose in [
            "Bearer bonds please",
            "bearer of good news",
            "the bearer responsibilities-and-duties of 2026",
            "sk_live_ is how they begin, ghp_ too; AKIA as well",
            "token_count",
            "https://example.com/a:b",
            "a@b.c",
            "",
            "5500",
        ] {
            assert!(!looks_secret(prose), "{prose}");
        }
    }

    /// Every form of every pattern, and every text one character away from it.
    #[test]
    fn what_fits_a_pattern_has_a_mark() {
        let forms = [
            "AMQPS://x",
            "redis://x",
            "a+b://u:p@",
            "-----begin private KEY-----",
            "BEARER \t+a1aaaaaaaaaaaaaaa",
            "eyJaaaaaaaa.bbbbbbbb.",
            "syn_wbr_x",
            "whsec_aaaaaaaaaaaaaaaa",
            "whsk_aaaaaaaaaaaaaaaa",
            "sk_live_aaaaaaaa",
            "rk_test_aaaaaaaa",
            "pk_live_aaaaaaaa",
            "gho_aaaaaaaaaaaaaaaaaaaa",
            "ghp_aaaaaaaaaaaaaaaaaaaa",
            "ghu_aaaaaaaaaaaaaaaaaaaa",
            "ghs_aaaaaaaaaaaaaaaaaaaa",
            "ghr_aaaaaaaaaaaaaaaaaaaa",
            "xoxb-aaaaaaaaaa",
            "AKIAAAAAAAAAAAAAAAAA",
            "sk-proj-aaaaaaaaaaaaaaaa",
            "sk-ant-aaaaaaaaaaaaaaaa",
            "sk-svcacct-aaaaaaaaaaaaaaaa",
            "AIzaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "glpat-aaaaaaaaaaaaaaaa",
            "npm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "github_pat_aaaaaaaaaaaaaaaaaaaa",
            "bearer aaaaaaaaaaaaaaaa",
        ];
        for form in forms {
            assert!(looks_secret(form), "{form}");
            for at in 0..form.len() {
                for new in ["", "a", "K", "_", "1", " ", "é", "/"] {
                    let (before, after) = form.split_at(at);
                    let text = [before, new, after.get(1..).unwrap_or_default()].concat();
                    assert!(has_a_mark(&text) || !fits_a_pattern(&text), "{text}");
                }
            }
        }
    }
}
