//! Which user names may stand in the clear, in an id, in metadata, in a message.
//!
//! Some services take a token for the user name (`TOKEN:x-oauth-basic@github.com`, or the same token as
//! user name and password). Nothing says so. Whatever is not clearly a name is kept as the password is.

/// What services want for a password where the user name is the token, and the other way round.
const PLACEHOLDERS: [&str; 13] = [
    "x",
    "x-oauth-basic",
    "x-oauth",
    "x-access-token",
    "x-token-auth",
    "oauth",
    "oauth2",
    "basic",
    "token",
    "<token>",
    "none",
    "unused",
    "password",
];

/// What the tokens of well-known services begin with.
const PREFIXES: [&str; 54] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glptt-",
    "gloas-",
    "glft-",
    "glimt-",
    "glagent-",
    "glsoat-",
    "glffct-",
    "dop_v1_",
    "doo_v1_",
    "dor_v1_",
    "dckr_pat_",
    "dckr_oat_",
    "hf_",
    "npm_",
    "pypi-",
    "rubygems_",
    "cio",
    "crates_",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "sk-",
    "sk_",
    "rk_",
    "pk_",
    "eyj",
    "ya29.",
    "1//",
    "atatt",
    "atctt",
    "atbb",
    "atcf",
    "akcp",
    "cmvm",
    "sg.",
    "shpat_",
    "hvs.",
    "hvb.",
    "sgp_",
    "lin_api_",
    "tskey-",
];

/// No token is as short in bytes: beside an empty password or a placeholder this is a name.
const SHORT: usize = 3;

/// As long in bytes as no part of a name is that has neither a blank nor a separator.
const LONG_WORD: usize = 25;

/// How often letters, capitals and digits take turns in what was drawn at random, and how long it is.
const TURNS: usize = 5;
const DRAWN: usize = 16;

/// Whether a user name can be shown although its password is kept secret.
pub(crate) fn is_public(username: &str, password: &str) -> bool {
    let (username, password) = (username.trim(), password.trim());
    let is_placeholder = password.is_empty() || is_one_of(&PLACEHOLDERS, password);
    let is_name = is_one_of(&PLACEHOLDERS, username)
        || !(is_token(username) || is_placeholder && username.len() > SHORT);
    is_name && !username.eq_ignore_ascii_case(password)
}

fn is_one_of(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a text looks like a token, whatever stands beside it.
fn is_token(text: &str) -> bool {
    // A token may be a part of it, `user:TOKEN` or `TOKEN@host`.
    let mut parts = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_./+=".contains(c));
    parts.any(|part| has_prefix(part) || is_uuid(part) || is_random(part))
}

fn has_prefix(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    // `cio` is three letters that a name may begin with, too.
    PREFIXES.iter().any(|prefix| {
        lower.strip_prefix(prefix).is_some_and(|rest| {
            let ends_apart = prefix.ends_with(|c: char| !c.is_ascii_alphanumeric());
            rest.len() >= if ends_apart { 4 } else { 16 }
        })
    })
}

/// Not the one that stands for no user: Azure's registries have it beside their tokens.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let digits = text.replace('-', "");
    lengths.eq([8, 4, 4, 4, 12])
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digits.bytes().any(|byte| byte != b'0')
}

fn is_random(text: &str) -> bool {
    let class = |c: char| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric());
    let turns = |word: &str| {
        let classes: Vec<_> = word.chars().map(class).collect();
        classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    words().any(|word| word.len() >= LONG_WORD)
        || text.len() >= DRAWN && words().map(turns).sum::<usize>() >= TURNS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown() {
        for name in [
            "zoe",
            "AWS",
            "_json_key",
            "_json_key_base64",
            "oauth2accesstoken",
            "x-access-token",
            "x-token-auth",
            "<token>",
            "oauth2",
            "gitlab-ci-token",
            "gitlab+deploy-token-123456",
            "$oauthtoken",
            "robot$project+builder",
            "christopher.longname@subdomain.example.com",
            "John Smith 2023",
            "00000000-0000-0000-0000-000000000000",
            "zoë",
            "iamapikey",
            "skeleton",
            "cio",
            "Administrator",
        ] {
            assert!(is_public(name, "correct horse"), "{name}");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        for token in [
            "ghp_CANARY0123456789abcdefghijklmnopqrst",
            "github_pat_11ABC",
            "GHP_0123",
            "glpat-abcdefghijklmnopqrst",
            "dop_v1_0123",
            "dckr_pat_abcd",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "npm_abcdefgh",
            "0123456789abcdef0123456789abcdef01234567",
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
            "k7Qp2mXv9ZtR4bNs",
            "V1StGXR8-Z5jdHi6B-myT3",
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "zoe:ghp_0123456789",
            "ghp_0123456789@github.com",
        ] {
            assert!(!is_public(token, "correct horse"), "{token}");
        }
    }

    #[test]
    fn beside_no_real_password_the_user_name_is_one() {
        for password in [
            "",
            " ",
            "x",
            "X",
            "x-oauth-basic",
            "X-OAuth-Basic",
            "oauth2",
            "<token>",
        ] {
            assert!(!is_public("canary", password), "{password}");
        }
        assert!(!is_public("canary", "canary"));
        assert!(!is_public("canary", "Canary\n"));
        assert!(is_public("zoe", "x") && is_public("zoe", "zoe's"));
    }
}
