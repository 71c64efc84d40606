//! The keys that a format asks for, arranged for looking them up. Built once per format.

/// Between the names of a key inside a nested object: `data/level`.
pub(crate) const SEPARATOR: char = '/';

/// A set of keys, each with a slot for its value.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    paths: Vec<&'static str>,
    top: Level,
    inner: Vec<Inner>,
}

/// The keys looked for in one object.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Names and their slots, by the length of the name.
    names: Vec<Vec<(&'static str, usize)>>,
}

/// An object that is the value of another key.
#[derive(Debug)]
pub(super) struct Inner {
    path: &'static str,
    /// The slot that holds the object.
    pub slot: usize,
    pub level: Level,
}

impl Keys {
    /// The slot of a key, which is added when it is new.
    pub fn add(&mut self, path: &'static str) -> usize {
        if let Some(slot) = self.paths.iter().position(|known| *known == path) {
            return slot;
        }
        match path.rsplit_once(SEPARATOR) {
            Some((parent, name)) => {
                let parent = self.inner(parent);
                let slot = self.next_slot(path);
                if let Some(inner) = self.inner.get_mut(parent) {
                    inner.level.add(name, slot);
                }
                slot
            }
            None => {
                let slot = self.next_slot(path);
                self.top.add(path, slot);
                slot
            }
        }
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub(super) fn top(&self) -> &Level {
        &self.top
    }

    /// Objects inside the top one, each before those inside it.
    pub(super) fn inner_objects(&self) -> &[Inner] {
        &self.inner
    }

    /// Position of an inner object, which is added when it is new.
    fn inner(&mut self, path: &'static str) -> usize {
        if let Some(known) = self.inner.iter().position(|inner| inner.path == path) {
            return known;
        }
        let slot = self.add(path);
        self.inner.push(Inner {
            path,
            slot,
            level: Level::default(),
        });
        self.inner.len() - 1
    }

    fn next_slot(&mut self, path: &'static str) -> usize {
        self.paths.push(path);
        self.paths.len() - 1
    }
}

impl Level {
    fn add(&mut self, name: &'static str, slot: usize) {
        if self.names.len() <= name.len() {
            self.names.resize_with(name.len() + 1, Vec::new);
        }
        if let Some(names) = self.names.get_mut(name.len()) {
            names.push((name, slot));
        }
    }

    /// The slot of a name, if the format asks for it.
    pub fn slot(&self, name: &str) -> Option<usize> {
        let names = self.names.get(name.len())?;
        names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_slot_and_objects_come_before_what_they_hold() {
        let mut keys = Keys::default();
        let deep = keys.add("data/metadata/ip");
        assert_eq!(
            (keys.add("data"), keys.add("data/metadata"), deep),
            (0, 1, 2)
        );
        assert_eq!(keys.add("id"), 3);
        assert_eq!(keys.len(), 4);
        let inner: Vec<_> = keys
            .inner_objects()
            .iter()
            .map(|i| (i.path, i.slot))
            .collect();
        assert_eq!(inner, [("data", 0), ("data/metadata", 1)]);
        assert_eq!(keys.inner_objects()[1].level.slot("ip"), Some(2));
        assert_eq!(keys.top().slot("id"), Some(3));
        assert_eq!(keys.top().slot("ip"), None);
        assert_eq!(keys.top().slot("an unknown and very long name"), None);
    }
}
