//! The keys that a format uses, arranged for lookup. Built once for each format.

/// The separator between the names of a key inside a nested object: `data/level`.
pub(crate) const SEPARATOR: char = '/';

/// A set of keys, each with a slot for its value.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The key of each slot.
    paths: Vec<&'static str>,
    /// The keys in the object itself.
    top: ObjectKeys,
    /// The objects inside it that have keys.
    inner: Vec<InnerObject>,
}

/// The keys to find in one object.
#[derive(Debug, Default)]
pub(super) struct ObjectKeys {
    /// Names and their slots, by the length of the name.
    names: Vec<Vec<(&'static str, usize)>>,
}

/// A nested object: the value of another key.
#[derive(Debug)]
pub(super) struct InnerObject {
    /// The key of the object.
    path: &'static str,
    /// The slot that holds the object.
    pub slot: usize,
    /// The keys to find in it.
    pub keys: ObjectKeys,
}

impl Keys {
    /// Returns the slot of a key, which is added if it is new.
    pub fn add(&mut self, path: &'static str) -> usize {
        if let Some(slot) = self.paths.iter().position(|known| *known == path) {
            return slot;
        }
        match path.rsplit_once(SEPARATOR) {
            Some((parent, name)) => {
                let parent = self.inner(parent);
                let slot = self.next_slot(path);
                if let Some(inner) = self.inner.get_mut(parent) {
                    inner.keys.add(name, slot);
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

    /// Returns the number of slots.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns the keys in the object itself.
    pub(super) fn top(&self) -> &ObjectKeys {
        &self.top
    }

    /// Returns the objects inside the top one, each before those inside it.
    pub(super) fn inner_objects(&self) -> &[InnerObject] {
        &self.inner
    }

    /// Returns the index of an inner object, which is added if it is new.
    fn inner(&mut self, path: &'static str) -> usize {
        if let Some(known) = self.inner.iter().position(|inner| inner.path == path) {
            return known;
        }
        let slot = self.add(path);
        self.inner.push(InnerObject {
            path,
            slot,
            keys: ObjectKeys::default(),
        });
        self.inner.len() - 1
    }

    /// Adds a slot for a key.
    fn next_slot(&mut self, path: &'static str) -> usize {
        self.paths.push(path);
        self.paths.len() - 1
    }
}

impl ObjectKeys {
    /// Adds a name with its slot.
    fn add(&mut self, name: &'static str, slot: usize) {
        if self.names.len() <= name.len() {
            self.names.resize_with(name.len() + 1, Vec::new);
        }
        if let Some(names) = self.names.get_mut(name.len()) {
            names.push((name, slot));
        }
    }

    /// Returns the slot of a name, if the format uses it.
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
        assert_eq!(keys.inner_objects()[1].keys.slot("ip"), Some(2));
        assert_eq!(keys.top().slot("id"), Some(3));
        assert_eq!(keys.top().slot("ip"), None);
        assert_eq!(keys.top().slot("an unknown and very long name"), None);
    }
}
