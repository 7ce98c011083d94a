//! What a failing random script says can be run as it stands, and shows the difference.

use resv_api::{Reservation, Resv};
use resv_conformance::property;
use resv_conformance::scenario::{Runner, Scenario};
use resv_core::{Locked, Semantics, UsageLevels};
use resv_fixtures::semantics::OlderReplaces;
use resv_fixtures::{Fixture, fixtures};

fn play<S: Semantics + Default>(script: &Scenario) -> Vec<String> {
    let make = || -> Box<dyn Reservation> { Box::new(Resv::<S, Locked>::default()) };
    let answers = Runner::with_factory(make).run(script).expect("it is valid");
    answers.iter().map(ToString::to_string).collect()
}

#[test]
fn a_failing_random_script_is_printed_in_the_scenario_language() {
    let is_it = |fixture: &&Fixture| fixture.name == "older_fence_replaces";
    let fixture = fixtures().find(is_it).expect("a fixture of that name");
    let rejection = fixture.run(property("random::any_script_is_answered_like_the_model"));
    let said = rejection.expect("the property rejects the fixture").said;
    let (first, rest) = said.split_once('\n').expect("a script follows the reason");
    assert!(first.starts_with("usage-levels on locked: "), "{first}");
    let (script, seed) = rest.rsplit_once('\n').expect("a seed follows the script");
    assert!(seed.starts_with("PROPTEST_RNG_SEED="), "{seed}");
    let script = Scenario::parse(script).expect("the script is in the language");
    let edits = script.statements().filter(|(_, s)| !s.is_query()).count();
    assert!(edits <= 30, "shrunk to {edits} statements:\n{script}");
    assert_ne!(play::<UsageLevels>(&script), play::<OlderReplaces>(&script));
}
