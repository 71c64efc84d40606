//! Text of bounded length for shared memory.

/// UTF-8 text of at most `N` bytes. Longer text is truncated at a character boundary.
#[derive(Clone, Copy)]
pub struct BoundedText<const N: usize> {
    /// Bytes in use.
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Default for BoundedText<N> {
    fn default() -> Self {
        Self {
            length: 0,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> BoundedText<N> {
    /// Replaces the text.
    pub fn set(&mut self, text: &str) {
        let mut length = text.len().min(N);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let (into, from) = (self.bytes.get_mut(..length), text.as_bytes().get(..length));
        if let (Some(into), Some(from)) = (into, from) {
            into.copy_from_slice(from);
            self.length = u16::try_from(length).unwrap_or(u16::MAX);
        }
    }

    /// Returns the text.
    pub fn get(&self) -> &str {
        let bytes = self
            .bytes
            .get(..usize::from(self.length))
            .unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns the text, or `None` when it is empty.
    pub fn non_empty(&self) -> Option<String> {
        Some(self.get())
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let mut text = BoundedText::<5>::default();
        text.set("abcdé");
        assert_eq!(text.get(), "abcd");
        text.set("é");
        assert_eq!(text.get(), "é");
        text.set("");
        assert_eq!(text.non_empty(), None);
    }
}
