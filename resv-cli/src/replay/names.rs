//! Names, each kept once.

use std::collections::HashMap;

/// The most different names that are kept; what comes after them goes by [`Names::FURTHER`].
const MOST: usize = 1 << 16;
/// The longest name that is kept, in bytes.
const LONGEST: usize = 64;

/// Names with a number each.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    /// The name of all names that came when there was no more room.
    const FURTHER: &'static str = "(further)";

    /// The number of `name`.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        let name = shortened(name);
        if let Some(&number) = self.index.get(name) {
            return number;
        }
        if self.list.len() >= MOST {
            return match self.index.get(Self::FURTHER) {
                Some(&number) => number,
                None => self.add(Self::FURTHER),
            };
        }
        self.add(name)
    }

    fn add(&mut self, name: &str) -> u32 {
        let number = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.index.insert(name.to_owned(), number);
        number
    }

    /// The name with this number.
    pub(super) fn name(&self, number: u32) -> &str {
        self.list.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.list
    }
}

fn shortened(name: &str) -> &str {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_in_bounds() {
        let mut names = Names::default();
        assert_eq!(
            (names.number("a"), names.number("b"), names.number("a")),
            (0, 1, 0)
        );
        for number in 0..MOST + 10 {
            names.number(&number.to_string());
        }
        assert_eq!(names.list.len(), MOST + 1);
        assert_eq!(names.name(names.index["(further)"]), "(further)");
        let long = "ä".repeat(LONGEST);
        assert_eq!(shortened(&long).len(), LONGEST);
        assert_eq!(names.name(u32::MAX), "");
    }
}
