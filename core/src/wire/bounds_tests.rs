//! The last value that is read and the first that is not.

use super::*;
use crate::id::{ConnectionId, Seq, ThreadId};
use crate::limits::Limits;
use alloc::format;
use alloc::string::String;
use alloc::vec;

fn read(text: &str) -> Result<ClientFrame, Refused> {
    let limits = Limits { subscriptions_per_connection: 2, ..Limits::default() };
    decode(text, &limits, Naming { connection_id: ConnectionId(7), nth: 3 })
}

#[test]
fn a_resume_names_as_many_threads_as_one_may_follow() {
    let threads = |count: usize| {
        let thread = format!(r#"{{"thread_id":"{}"}}"#, ThreadId(1));
        let list = vec![thread; count].join(",");
        read(&format!(r#"{{"type":"resume","payload":{{"threads":[{list}]}}}}"#))
    };
    for count in 0..=2 {
        assert!(threads(count).is_ok(), "{count}");
    }
    assert_eq!(threads(3).unwrap_err().field, Some("threads"));
}

#[test]
fn a_resume_of_an_older_client_names_one_thread_without_a_list() {
    let thread_id = ThreadId(1);
    let text =
        format!(r#"{{"type":"resume","payload":{{"thread_id":"{thread_id}","after_seq":4}}}}"#);
    let after_seq = Seq(4);
    let threads = vec![ResumePoint { thread_id, epoch: None, after_seq }];
    assert_eq!(read(&text).unwrap().body, ClientBody::Resume { threads });
}

#[test]
fn a_frame_may_name_its_user_twice_but_not_two_users() {
    let names = |inner: &str, outer: &str| {
        read(&format!(r#"{{"type":"ping","user_id":"{outer}","payload":{{"user_id":"{inner}"}}}}"#))
    };
    assert_eq!(names("ada", "ada").unwrap().claimed_user, Some(String::from("ada")));
    assert_eq!(names("ada", "eve").unwrap_err().fault.code, ErrorCode::UserMismatch);
}

#[test]
fn an_unknown_type_is_shown_without_what_cannot_be_shown() {
    let refused = read(r#"{"type":"so\u0007ng","payload":{}}"#).unwrap_err();
    assert_eq!(refused.fault.message, "unknown type `song`");
}

#[test]
fn a_secret_says_that_it_is_one() {
    assert_eq!(format!("{:?}", Secret("t.o.k".into())), "Secret(…)");
}

#[test]
fn a_summary_leaves_out_the_work_of_the_agents() {
    for (name, carried) in [
        ("user_message", true),
        ("assistant_message", true),
        ("run_failed", true),
        ("run_plan", false),
        ("agent_thinking", false),
        ("tool_completed", false),
    ] {
        assert_eq!(Event::name_in_summary(name), carried, "{name}");
    }
}
