//! A store's `.posixage.toml`.

use posixage::{Error, Store, StoreConfig};

use crate::place::{Place, make_dir, write};

thread_local! {
    static PLACE: Place = Place::in_memory();
}

/// The input is the file.
pub fn run(input: &[u8]) {
    PLACE.with(|place| {
        write(&place.root().join(".posixage.toml"), 0o600, input);
        let store = match Store::builder(place.root()).open() {
            Ok(store) => store,
            Err(Error::Config { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let config = store.config().expect("there is a file");
        assert!((1..=22).contains(&config.work_factor));
        // What was understood is written so that it is understood again.
        let other = place.dir().join("other");
        make_dir(&other);
        Store::init(&other, config).expect("make a store");
        let again = Store::builder(&other).open().expect("open it");
        assert_eq!(shown(again.config().expect("a file")), shown(config));
        std::fs::remove_file(other.join(".posixage.toml")).expect("remove");
        std::fs::remove_file(other.join(posixage::lock::FILE_NAME)).expect("remove");
        std::fs::remove_dir(other).expect("nothing else is there");
    });
}

fn shown(config: &StoreConfig) -> (Vec<String>, bool, u8) {
    let recipients = config.recipients.iter().map(ToString::to_string).collect();
    (recipients, config.password, config.work_factor)
}
