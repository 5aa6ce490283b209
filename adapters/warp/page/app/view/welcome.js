/** Before somebody is signed in: the demo, log in, register; a refusal is said in words. */
import { byId, setText, show } from './dom.js';

/** The server has the last word; this one is said before it is asked. */
const SHORTEST_PASSWORD = 8;

export class Welcome {
  /** `on`: `demo()`, `login(credentials)`, `register(credentials)`, each a promise. */
  constructor(on) {
    this.on = on;
    this.registering = false;
    this.element = byId('welcome');
    this.alert = byId('welcome-alert');
    this.form = byId('credentials');
    this.demo = byId('demo-start');
    this.demo.addEventListener('click', () => this.#run(this.demo, () => on.demo()));
    byId('credentials-other').addEventListener('click', () => this.#mode(!this.registering));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(this.form));
      const credentials = { email: values.email, password: values.password };
      if (this.registering && values.name) credentials.name = values.name;
      this.#run(byId('credentials-submit'), () => (this.registering ? on.register(credentials) : on.login(credentials)));
    });
  }

  /** Shows what this server offers. `reason` says why one is here again. */
  open(config, reason = '') {
    show(this.element, true);
    show(byId('welcome-loading'), config === null);
    show(byId('welcome-demo'), Boolean(config?.demo));
    show(byId('welcome-provider'), Boolean(config?.oidc));
    if (config?.oidc) setText(byId('provider-login'), `Log in with ${config.oidc.name}`);
    const login = config !== null && (config.mode === 'login' || !config.demo || config.registration);
    show(this.form, login);
    show(byId('credentials-other-line'), Boolean(config?.registration));
    this.demo.classList.toggle('primary', true);
    byId('credentials-submit').classList.toggle('primary', !config?.demo);
    this.#mode(false);
    this.say(reason);
    if (config) (config.demo ? this.demo : byId('email')).focus();
  }

  close() {
    show(this.element, false);
    byId('password').value = '';
    this.say('');
  }

  /** Says something went wrong, or nothing. */
  say(text) {
    setText(this.alert, text);
    show(this.alert, Boolean(text));
  }

  #mode(registering) {
    this.registering = registering;
    setText(byId('credentials-title'), registering ? 'Register' : 'Log in');
    setText(byId('credentials-submit'), registering ? 'Register' : 'Log in');
    setText(byId('credentials-other-text'), registering ? 'You have an account?' : 'No account yet?');
    setText(byId('credentials-other'), registering ? 'Log in' : 'Register');
    show(byId('name-field'), registering);
    byId('password').autocomplete = registering ? 'new-password' : 'current-password';
    byId('password').minLength = registering ? SHORTEST_PASSWORD : 0;
    this.#passwordHint('');
  }

  /** Beside the field: the rule while registering, or what the server says against it. */
  #passwordHint(problem) {
    const hint = byId('password-hint');
    setText(hint, problem || (this.registering ? `At least ${SHORTEST_PASSWORD} characters.` : ''));
    show(hint, Boolean(hint.textContent));
    hint.classList.toggle('wrong', Boolean(problem));
    byId('password').setAttribute('aria-invalid', String(Boolean(problem)));
    if (problem) byId('password').focus();
  }

  async #run(button, action) {
    button.disabled = true;
    this.say('');
    this.#passwordHint('');
    try {
      await action();
    } catch (problem) {
      this.say(problem.status === 401 && !this.registering ? problem.detail || 'E-mail or password is wrong.' : problem.text ?? 'That did not work. Please try again.');
      if (problem.detail && problem.status === 422) {
        const password = /\bpassword\b/i.test(problem.detail);
        this.say(password ? '' : problem.detail);
        this.#passwordHint(password ? problem.detail : '');
      }
    } finally {
      button.disabled = false;
    }
  }
}
