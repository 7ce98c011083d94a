//! A test on every back end, with every semantics.

/// Runs a generic function on every back end, with every semantics.
macro_rules! on_each {
    ($test:ident) => {
        resv_api::for_each_backend!(under_each_semantics! $test)
    };
}

macro_rules! under_each_semantics {
    ($test:ident $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        $($(#[cfg(feature = $feature)])?
        SemanticsKind::ALL.into_iter().for_each($test::<$type>);)*
    };
}
