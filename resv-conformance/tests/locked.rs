//! The suite on the reference back end.

resv_conformance::suite_for_backend!(locked, resv_core::Locked);
