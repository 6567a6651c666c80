//! An input as a row of decisions. One that has ended answers nought.

pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    pub(super) fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::from(self.next()) % among.len()]
    }

    /// As many bytes as the next one says, and are there.
    pub(super) fn take(&mut self) -> &'a [u8] {
        let len = usize::from(self.next()).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}
