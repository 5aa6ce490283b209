//! Refusals a person can read, and the browser's own rules.

use crate::browser::with_page;
use serde_json::json;

#[tokio::test]
async fn a_browser_that_offers_golden_v1_gets_golden_v1_also_beside_a_token_f04_f05() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let heard = browser
            .run(
                "const { token } = JSON.parse(localStorage.getItem('goldenpath.login'));
                 const encoded = btoa(token).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
                 const talk = (protocols, first) => new Promise((resolve) => {
                   const socket = new WebSocket(`ws://${location.host}/ws`, protocols);
                   const said = [];
                   const end = (code) => resolve({ protocol: socket.protocol, said, code });
                   socket.onopen = () => first && socket.send(JSON.stringify(first));
                   socket.onmessage = (m) => { const f = JSON.parse(m.data); said.push(f.type); if (f.type === 'connection_ready') { end(null); socket.close(); } };
                   socket.onclose = (e) => end(e.code);
                 });
                 return [
                   await talk(['golden.v1', `jwt.${encoded}`]),
                   await talk([`jwt.${encoded}`, 'golden.v1']),
                   await talk(['golden.v1'], { type: 'auth', id: 'c1', payload: { token } }),
                 ];",
            )
            .await;
        for talk in heard.as_array().unwrap() {
            assert_eq!(talk["protocol"], "golden.v1", "{heard}");
            assert!(talk["said"].as_array().unwrap().contains(&json!("connection_ready")), "{heard}");
        }
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_refused_log_in_is_explained_not_just_1006_f36() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let heard = browser
            .run(
                "return await new Promise((resolve) => {
                   const socket = new WebSocket(`ws://${location.host}/ws`, ['golden.v1']);
                   const said = [];
                   socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', id: 'c1', payload: { token: 'not.a.token' } }));
                   socket.onmessage = (m) => said.push(JSON.parse(m.data));
                   socket.onclose = (e) => resolve({ code: e.code, said });
                 });",
            )
            .await;
        assert_eq!(heard["code"], 4401, "{heard}");
        let said = heard["said"].as_array().unwrap();
        let error = said.iter().find(|f| f["type"] == "error").expect("an error frame");
        assert_eq!(error["payload"]["code"], "unauthorized", "{error}");
        assert!(error["payload"]["user_message"].as_str().unwrap().len() > 5);
        assert!(said.iter().any(|f| f["type"] == "disconnect" && f["payload"]["code"] == 4401), "{heard}");

        // The page with such a token is back at the welcome, and says why.
        browser
            .get("(sessionStorage.setItem('goldenpath.login', JSON.stringify({ token: 'not.a.token', user: { id: 'x', name: 'x' } })), true)")
            .await;
        browser.reload().await;
        browser.wait_for("!document.getElementById('welcome').hidden && !document.getElementById('welcome-alert').hidden").await;
        let words = browser.text("#welcome-alert").await;
        assert!(words.to_lowercase().contains("sign in") || words.to_lowercase().contains("log in"), "{words}");
        browser.enter_demo().await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_words_and_an_account_works() {
    with_page(|browser, _| async move {
        browser.wait_for("!document.getElementById('credentials').hidden").await;
        let fill = |email: &str, password: &str| format!("(document.getElementById('email').value = {email:?}, document.getElementById('password').value = {password:?})");
        browser.get(&fill("nobody@example.org", "certainly wrong")).await;
        browser.click("#credentials-submit").await;
        browser.wait_for("!document.getElementById('welcome-alert').hidden && document.getElementById('welcome-alert').textContent.length > 5").await;

        browser.click("#credentials-other").await;
        // The rule is said before anything is sent, and what is against it beside the field.
        assert!(browser.text("#password-hint").await.contains("8 characters"));
        browser.get(&fill("ada@example.org", "short")).await;
        assert_eq!(browser.get("document.getElementById('password').minLength").await, json!(8));
        browser.get(&fill("ada@example.org", "password")).await;
        browser.click("#credentials-submit").await;
        browser.wait_for("document.getElementById('password').getAttribute('aria-invalid') === 'true' && document.activeElement.id === 'password'").await;
        assert_eq!(browser.get("document.getElementById('welcome-alert').hidden").await, json!(true));
        assert!(browser.text("#password-hint").await.contains("password"));
        browser.get(&fill("ada@example.org", "a long enough password 7")).await;
        browser.click("#credentials-submit").await;
        browser.wait_for_state("ready").await;
        assert_eq!(browser.get("document.getElementById('demo-banner').hidden").await, json!(true), "an account is no demo");
        browser.click("#sign-out").await;
        browser.wait_for("!document.getElementById('welcome').hidden").await;
        assert_eq!(browser.get("sessionStorage.getItem('goldenpath.login')").await, json!(null));

        browser.get(&fill("ada@example.org", "a long enough password 7")).await;
        browser.click("#credentials-submit").await;
        browser.wait_for_state("ready").await;
    })
    .await;
}

#[tokio::test]
async fn the_policy_of_the_page_forbids_everything_it_does_not_need() {
    with_page(|browser, _| async move {
        let policy = browser.run("return (await fetch('/')).headers.get('content-security-policy');").await;
        let policy = policy.as_str().unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let blocked = browser
            .run(
                "const seen = [];
                 document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
                 const script = document.createElement('script');
                 script.textContent = 'window.broken = true';
                 document.body.append(script);
                 const image = document.createElement('img');
                 image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
                 document.body.append(image);
                 await new Promise((resolve) => setTimeout(resolve, 300));
                 return [window.broken === undefined, seen.some((d) => d.startsWith('script-src')), seen.includes('img-src')];",
            )
            .await;
        assert_eq!(blocked, json!([true, true, true]));
    })
    .await;
}

#[tokio::test]
async fn an_answer_cannot_write_markup_into_the_page() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let hostile = "<img src=x onerror=window.broken=1> [x](javascript:window.broken=1) ![y](https://example.org/p.png)";
        let seen = browser
            .run(&format!(
                "const {{ parseMarkdown }} = await import('/app/machine/markdown.js');
                 const {{ renderBlocks }} = await import('/app/view/markdown.js');
                 const box = document.createElement('div');
                 box.append(...renderBlocks(parseMarkdown({hostile:?}), {{ fact() {{}}, image: async () => '', download() {{}} }}));
                 document.body.append(box);
                 return [box.querySelectorAll('img, script').length, [...box.querySelectorAll('a')].map((a) => a.href), box.textContent.includes('onerror'), window.broken ?? null];"
            ))
            .await;
        assert_eq!(seen, json!([0, [], true, null]));
    })
    .await;
}

#[tokio::test]
async fn an_address_that_leads_nowhere_shows_a_page_to_a_person_and_json_to_a_program() {
    with_page(|browser, _| async move {
        let seen = browser
            .run(
                "const look = async (path, Accept) => { const r = await fetch(path, { headers: { Accept } }); return [r.status, r.headers.get('content-type').split(';')[0], (await r.text()).includes('There is no page at this address.')]; };
                 return [await look('/nothing', 'text/html,*/*;q=0.8'), await look('/nothing', 'application/json'), await look('/api/nothing', 'text/html')];",
            )
            .await;
        assert_eq!(seen, json!([[404, "text/html", true], [404, "application/problem+json", false], [404, "application/problem+json", false]]));
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_before_it_is_sent() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.get("(() => { const q = document.getElementById('question'); q.value = 'ä'.repeat(4001); q.dispatchEvent(new Event('input', { bubbles: true })); })()").await;
        assert_eq!(browser.get("document.getElementById('send').disabled").await, json!(true));
        assert_eq!(browser.text("#composer-state").await, "Too long by 2 bytes; the limit is 8,000.");
    })
    .await;
}
