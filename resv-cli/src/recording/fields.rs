//! The fields of an event, found by name.

use std::str::FromStr;

use super::event::JobKey;
use super::fault::FieldFault;

/// Reads an address as tracers print it: `0x` and hexadecimal, or bare hexadecimal of full width (8 or 16 digits, with a
/// letter or a leading zero among them), or decimal.
pub fn parse_address(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` alone would take a sign.
        return hex
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u64::from_str_radix(hex, 16).ok())?;
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let full_width = text.len() == 8 || text.len() == 16;
    if full_width && (letter || text.starts_with('0')) {
        u64::from_str_radix(text, 16).ok()
    } else {
        text.parse().ok()
    }
}

/// The fields of an event line, found by name.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) event: &'static str,
    pub(super) text: &'a str,
}

impl<'a> Fields<'a> {
    /// Where `key` begins, followed by `=` or `:` and not part of a longer word.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.text
            .match_indices(key)
            .map(|(at, _)| at)
            .find(|&at| self.is_key(at, key))
    }

    pub(super) fn find_last(&self, key: &str) -> Option<usize> {
        self.text
            .rmatch_indices(key)
            .map(|(at, _)| at)
            .find(|&at| self.is_key(at, key))
    }

    /// Where the four fields of a fence begin, if they stand in the kernel's order.
    pub(super) fn fence_order(&self) -> Option<[usize; 4]> {
        let seqno = self.find_last("seqno")?;
        let text = &self.text[..seqno];
        let context = Fields { text, ..*self }.find_last("context")?;
        let text = &self.text[..context];
        let before = Fields { text, ..*self };
        let (driver, timeline) = (before.find("driver")?, before.find("timeline")?);
        (driver < timeline).then_some([driver, timeline, context, seqno])
    }

    pub(super) fn is_key(&self, at: usize, key: &str) -> bool {
        let before = self.text[..at].bytes().next_back();
        let inside = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        !inside && self.text[at + key.len()..].starts_with(['=', ':'])
    }

    /// What stands behind `key` and its sign, up to the end of the line.
    fn rest(&self, key: &str) -> Option<&'a str> {
        let at = self.find(key)?;
        Some(self.text[at + key.len() + 1..].trim_start_matches(' '))
    }

    /// The value of `key`, empty if nothing stands there.
    pub(super) fn value(&self, key: &str) -> Option<&'a str> {
        let text = self.rest(key)?;
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace());
        Some(&text[..end.unwrap_or(text.len())])
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, FieldFault> {
        let event = self.event;
        self.value(field)
            .ok_or(FieldFault::Missing { event, field })
    }

    pub(super) fn number(&self, field: &'static str) -> Result<u64, FieldFault> {
        self.parse_number(field, self.text(field)?)
    }

    pub(super) fn word<T: FromStr>(&self, field: &'static str) -> Result<T, FieldFault> {
        let event = self.event;
        let malformed = |_| FieldFault::Malformed { event, field };
        self.text(field)?.parse().map_err(malformed)
    }

    pub(super) fn optional(&self, field: &'static str) -> Result<Option<u64>, FieldFault> {
        self.value(field)
            .map(|text| self.parse_number(field, text))
            .transpose()
    }

    pub(super) fn address(&self, field: &'static str) -> Result<u64, FieldFault> {
        let event = self.event;
        parse_address(self.text(field)?).ok_or(FieldFault::Malformed { event, field })
    }

    /// `CONTEXT:SEQNO`, `(context:CONTEXT, seqno:SEQNO)` or an address.
    pub(super) fn job(&self, field: &'static str) -> Result<JobKey, FieldFault> {
        let text = self.text(field)?;
        if text.starts_with('(') {
            let pair = self.rest(field).unwrap_or(text);
            let end = pair.find(')').map_or(pair.len(), |end| end + 1);
            let (context, seqno) = self.pair(field, &pair[..end])?;
            return Ok(JobKey::Point { context, seqno });
        }
        match text.split_once(':') {
            Some((context, seqno)) => Ok(JobKey::Point {
                context: self.parse_number(field, context)?,
                seqno: self.parse_number(field, seqno)?,
            }),
            None => self.address(field).map(JobKey::Pointer),
        }
    }

    pub(super) fn parse_number(&self, field: &'static str, text: &str) -> Result<u64, FieldFault> {
        let event = self.event;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FieldFault::Malformed { event, field });
        }
        text.parse()
            .map_err(|_| FieldFault::OutOfRange { event, field })
    }

    /// `(context:CONTEXT, seqno:SEQNO)`
    fn pair(&self, field: &'static str, text: &str) -> Result<(u64, u64), FieldFault> {
        let event = self.event;
        let malformed = FieldFault::Malformed { event, field };
        let inner = text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'));
        let (context, seqno) = inner
            .and_then(|text| text.split_once(','))
            .ok_or(malformed)?;
        let number = |text: &str, key: &str| {
            let text = text.trim_ascii();
            let value = text.strip_prefix(key).unwrap_or(text);
            self.parse_number(field, value.trim_start_matches([':', '=']).trim_ascii())
        };
        Ok((number(context, "context")?, number(seqno, "seqno")?))
    }

    /// `{(context:C, seqno:N), ...}`, `{C:N, ...}` or nothing.
    pub(super) fn list(&self, field: &'static str) -> Result<Vec<(u64, u64)>, FieldFault> {
        let Some(rest) = self.rest(field).and_then(|rest| rest.strip_prefix('{')) else {
            return Ok(Vec::new());
        };
        let mut rest = rest.split('}').next().unwrap_or_default().trim_ascii();
        let mut list = Vec::new();
        while !rest.is_empty() {
            let end = match rest.starts_with('(') {
                true => rest.find(')').map_or(rest.len(), |end| end + 1),
                false => rest.find(',').unwrap_or(rest.len()),
            };
            let one = rest[..end].trim_ascii();
            list.push(match one.split_once(':') {
                Some((context, seqno)) if !one.starts_with('(') => (
                    self.parse_number(field, context)?,
                    self.parse_number(field, seqno)?,
                ),
                _ => self.pair(field, one)?,
            });
            rest = rest[end..].trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        }
        Ok(list)
    }
}
