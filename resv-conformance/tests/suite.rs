//! The suite on every back end of the registry, under every semantics.

macro_rules! suites {
    (() $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        $(resv_conformance::suite_for_backend!($module, $type);)*
    };
}

resv_api::for_each_backend!(suites!());
