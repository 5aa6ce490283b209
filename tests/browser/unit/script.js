/** The log of one small run, as it comes over the wire. */
export function script({ thread = 'thr_1', run = 'run_1', epoch = 'e1', clientMsgId = 'c_1' } = {}) {
  const entries = [];
  const add = (type, payload, scope = {}) => {
    const seq = entries.length + 1;
    entries.push({ seq, type, payload, id: `evt_${seq}`, thread_id: thread, epoch, ts: new Date(1_000 * seq).toISOString(), ts_ms: 1_000 * seq, ...scope });
  };
  const agent = (name, id, parent) => ({ run_id: run, agent: { name, agent_run_id: id, attempt: 1, ...(parent ? { parent } : {}) } });
  const supervisor = agent('supervisor', 'agr_1');
  add('thread_created', { title: 'Analyze my AI costs' });
  add('user_message', { message_id: 'msg_1', client_msg_id: clientMsgId, content: 'Analyze my AI costs' });
  add('run_queued', { message_id: 'msg_1', position: 0 }, { run_id: run });
  add('run_started', { attempt: 1 }, { run_id: run });
  add('agent_started', { title: 'Supervisor', task: 'Answer', step: 0, of: 0 }, supervisor);
  add('run_plan', { route: 'full', steps: [{ agent: 'data', title: 'Compute' }, { agent: 'report', title: 'Write' }] }, { run_id: run });
  for (const [name, id, step] of [['data', 'agr_2', 1], ['report', 'agr_3', 2]]) {
    const scope = agent(name, id, 'agr_1');
    add('agent_started', { title: name, task: `do ${name}`, step, of: 2 }, scope);
    add('agent_thinking', { thought_id: 1, text: `thinking of ${name}`, kind: 'status' }, scope);
    add('tool_executing', { tool_call_id: `tc_${step}`, tool: 'query', title: 'Query', args: { a: 1 } }, scope);
    add('tool_completed', { tool_call_id: `tc_${step}`, tool: 'query', status: 'completed', duration_ms: 4, result: { rows: 3 }, attempt: 1 }, scope);
    add('agent_completed', { status: 'completed', duration_ms: 9, summary: 'done' }, scope);
  }
  add('agent_completed', { status: 'completed', duration_ms: 30, summary: 'all done' }, supervisor);
  add('assistant_message', { message_id: 'msg_2', content: '# Done', partial: false }, { run_id: run });
  add('run_completed', { status: 'completed', duration_ms: 40 }, { run_id: run });
  return { entries, thread, run };
}
