//! Flavours with one defect each, for the models only: loom must find every one.

use super::sealed::{Flavour, PublishedCell};
use super::{Epoch, Reclaim, epoch};
use crate::counted::Counted;
use crate::raw::array::{ArrayBuilder, ArrayRef};
use crate::raw::epoch::EpochCell;
use resv_core::Garbage;

macro_rules! broken {
    ($(#[$doc:meta])* $name:ident, $publish:ident) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name {
            cell: EpochCell,
        }

        impl Reclaim for $name {}

        impl Flavour for $name {
            type Object = Counted<$name>;

            fn collect() {
                epoch::collect();
            }
        }

        impl PublishedCell for $name {
            const NAME: &'static str = stringify!($name);

            fn prepare(&self, publishes: usize) {
                epoch::prepare(publishes);
            }

            fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
                self.cell.$publish(new)
            }

            fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T {
                self.cell.read(look)
            }

            fn is_current(&self, array: &ArrayRef) -> bool {
                self.cell.is_current(array)
            }

            fn garbage() -> Garbage {
                <Epoch as PublishedCell>::garbage()
            }

            fn reset_garbage_peak() {
                <Epoch as PublishedCell>::reset_garbage_peak();
            }
        }
    };
}

broken! {
    /// Publishes without Release.
    RelaxedPublish, publish_relaxed
}

broken! {
    /// Drops the old array without waiting for readers.
    NoGrace, publish_without_grace
}
