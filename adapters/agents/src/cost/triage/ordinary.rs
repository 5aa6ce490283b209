//! Words that are no names: those of the language, of time and number, and of our own grammar.

use goldenpath_runtime::usage::Day;

use super::amounts::number;
use super::lexicon;
use super::periods;

/// Words that exclude what follows them.
pub(super) const EXCLUDING: &[&str] = &[
    "besides",
    "except",
    "exclude",
    "excludes",
    "excluding",
    "ignoring",
    "minus",
    "w/o",
    "without",
];

/// Words of the language that never name anything, not even beside "team".
const FUNCTION: &str = "\
    a about above actual actually after again all almost already also always am an and another any anyone \
    anything approximately are around as ask at available average back be because been before behind being \
    best better between big bigger biggest both but by can cannot can't could currently did didn't different \
    do does doesn't doing done don't down due during each earlier early either else end ended ending enough \
    entire even ever every everyone everything exact exactly few first following for from full further get \
    gets getting give given gives go goes going got great had has have haven't having he her here highest his \
    hour hourly hours how however i if in instead into is isn't it its just know largest last late lately later \
    least less let like likely little long longer lot lots lowest made main make makes making many may maybe me \
    mean means might mine minute minutes more most much must my myself near nearly need needs neither never new \
    newer newest next no none nor normal normally not nothing now of off often ok okay old older oldest on once \
    one ones only or other others our ours out over overall own part particular parts past per percent \
    percentage please plus possible possibly present previous previously quite rather really recent recently \
    rest right same say second see seem seems set shall she should show shows since single small smaller \
    smallest so some somebody someone something soon still such sure take takes taking tell than thank thanks \
    that that's the their them themselves then there there's these they thing things third this those though \
    through throughout till to together too toward towards true typical under until up upon us use used uses \
    using usual usually various very via want wanted wants was wasn't way ways we well went were what what's \
    whatever when whenever where where's whether which while who who's whole whom whose why will with within \
    won't work working worth would yes yet you your yours";

/// Words of the language a sentence about costs is made of. One of them may be a name where a name stands.
const SENTENCE: &str = "\
    access account accounts accurate across action actions activity actually add added additional adjust \
    affect affected afford ago allow allowed alternative alternatives amount amounts answer answers apart \
    appear application applications apps app area areas aside assume attempt attempts avoid avoided base based \
    become begin beginning behave behavior behaviour below bill break bring brought bunch bursts business buy \
    calculate calculated calculation call called calls came cap case cases category cause caused causes causing \
    cause chance chances chart charts cheaply check checked clear climb climbed close come comes coming \
    company comparison complete completely component components compute computed concern concerning considering \
    consume consumed consumer consumers consumes consuming consumption contribute contributed contributes \
    contribution control count counts couple cover covered credits current curve cycle date dates decline \
    declined detail detailed details detect determine difference differences differ direction display do dollar \
    double doubled drill drivers driver drop dropped drops each effect effective efficient effort either else \
    employ entry equal especially estimated etc evaluate event events example exceeded exist existing expected \
    explain explained explanation extra face fact fail failed failing fails fall fallen falling fast faster fell \
    few figure figures fill final finally find finding fine fit fix focus follow follows form found frequent \
    frequently function general generate generated graph group groups grew grow grown guess half happen \
    happened happening happens hard heavy heavier high higher history hit hold hurt idea ideas identify \
    impact important include included includes including individual info information input inputs inside \
    interested interesting issue issues item items join keep kept kind kinds label lead learn leave left \
    let's level levels limit line list live look looking looks lose losing loss low made major manage many mark \
    match matter matters max maximum measure member members min minimum mind miss missing mistake mix moment \
    monitor move moved multiple name named names number numbers occur occurred offer open operate operation \
    operations option options order organisation organization output outputs pace particular pattern patterns \
    peak peaks people person pick picture piece place plan planned planning plot point points pop popular \
    portion position potential pricey prefer price prices pricing prior problem problems process produce \
    program project property proportion provide purpose put quality question questions quick quickly \
    raise ran range rank ranked ranking rate rates reach reached read real realistic reason reasonable reasons \
    receive reduction region relate related relative remain remaining replace report reports result results \
    return returns rise rose rough roughly round run runs running said save saw section seen send sense separate \
    service services set several share shares shift should side significant significantly similar simple size \
    slow slower sold sort source sources specific split stand start started starting stats statistics stay step \
    steps stop subject substantial sudden suddenly sum summary switch system table taken talk task tasks \
    term terms think thinking thought throughout time times tokens took topic topics total totals track \
    traffic transaction trigger triggered try trying turn type types understand unit units update updated usd \
    user users value values variation vary view volume volumes wait watch week weekday weekdays weekend weekends \
    weight went whatever word words world worse worst write wrong year years zero \
    account's ask asked detection job jobs proxy asking asks calls charged costed customer daily everything's expense fees fee fiscal \
    forecasted i'd i'll i'm i've it's jumped jump money's most-expensive overview paid people's per-day \
    quarterly re regarding respect roi run-rate spending-wise summarise tokens' tps trend-wise usage-wise we'd \
    we'll we're we've yearly monthly weekly annual annually yoy mom wow eur euro euros cents cent gbp pound pounds";

/// Words that join names: "claude and gpt-4o".
pub(super) fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "nor" | "or" | "plus" | "versus" | "vs" | "with")
}

/// Words that never name anything.
pub(super) fn is_function(word: &str) -> bool {
    FUNCTION.split_whitespace().any(|known| known == word)
}

/// Whether a word is none of the language, of time, or of our grammar: it may be a name.
pub(super) fn is_new(word: &str) -> bool {
    if lexicon::is_vendor(word) {
        return true;
    }
    let known = is_function(word)
        || is_number(word)
        || EXCLUDING.contains(&word)
        || SENTENCE.split_whitespace().any(|known| known == word)
        || word.ends_with("ly")
        || periods::is_time(word)
        || lexicon::knows(word);
    !known
}

/// Digits, amounts, ordinals and small numbers in words: no names by themselves.
pub(super) fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['$', '€', '£', '+', '-']);
    let unit =
        digits.trim_start_matches(|letter: char| letter.is_ascii_digit() || ".,".contains(letter));
    let counted = digits.starts_with(|letter: char| letter.is_ascii_digit())
        && matches!(
            unit,
            "" | "%" | "k" | "m" | "usd" | "st" | "nd" | "rd" | "th" | "d" | "h" | "x"
        );
    counted
        || number(word).is_some()
        || matches!(word, "grand" | "thousand" | "million")
        || Day::parse(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_language_are_no_names_and_names_are() {
        for word in
            ["how", "spend", "october", "14", "$5,000", "12th", "trend", "q3", "costs", "tuesday"]
        {
            assert!(!is_new(word), "{word}");
        }
        for word in ["marketing", "support-chat", "claude", "gpt-4o", "acme", "h1"] {
            assert!(is_new(word), "{word}");
        }
    }
}
