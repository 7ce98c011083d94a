//! The suite on the legacy design.

resv_conformance::suite_for_backend!(seqcount, resv_api::seqcount::Seqcount);
