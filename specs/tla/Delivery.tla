------------------------------ MODULE Delivery ------------------------------
(***************************************************************************)
(* One thread of one user, served by many nodes.                           *)
(*                                                                         *)
(* The store keeps the log and the runs. Nodes write to it over a network  *)
(* that may be slow: a write may land after its node died. A bus wakes     *)
(* other nodes and may lose every wake-up. A run is worked on under a      *)
(* lease and a fence. Clients send messages, read the log, lose their      *)
(* connection and resume on any node.                                      *)
(*                                                                         *)
(* README.md beside this file says what is left out, and which function    *)
(* of which machine each action stands for.                                *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets, TLC

CONSTANTS
  Nodes,        \* server processes
  Clients,      \* ends of connections of one user (tabs, devices)
  Msgs,         \* client_msg_ids; each message has one run, named by it
  None,
  Steps,        \* entries of a run between its start and its end
  MaxCrash,     \* bounds of what may go wrong: nodes that die,
  MaxDrop,      \*   connections that break,
  MaxTimeout,   \*   store calls whose answer does not come,
  MaxZombie     \*   leases that expire while their holder lives

(***************************************************************************)
(* The decisions of the design. A cfg file replaces one of them to show    *)
(* that a property depends on it: `CONSTANT FenceChecked <- Off`.          *)
(***************************************************************************)
AckAfterCommit     == TRUE  \* `ack` is sent when the store has the message
PublishAfterCommit == TRUE  \* entries are sent when the store has them
FenceChecked       == TRUE  \* the store refuses a run's write under an older fence, or after its end
ClaimAtomic        == TRUE  \* the store raises the fence as it gives the lease
ReadAfterClaim     == TRUE  \* the log of a run is read after its fence was raised
OldestFirst        == TRUE  \* the run that was asked for first is claimed first
OneRunning         == TRUE  \* no queued run is claimed while one is running
RetrySameIdentity  == TRUE  \* a write of unknown outcome is repeated under the same name
OneFlight          == TRUE  \* a hub has at most one write of a thread under way
SeqByStore         == TRUE  \* the store gives an entry its place
DedupMessages      == TRUE  \* the store knows a client_msg_id it has seen
CheckPlace         == TRUE  \* a reader is sent a new entry only if it is the next one
ResumeShift        == 0     \* reading goes on after the last entry applied, plus this
HeadsCompared      == TRUE  \* nodes compare heads with the store now and then
WakeUps            == TRUE  \* nodes tell each other of new entries, over a bus that loses what it likes
LeaseExpires       == TRUE  \* a lease ends when its holder is gone
ClientResends      == TRUE  \* what was not acknowledged is sent again

(* What a cfg file may leave out, to look closer at the rest. *)
Reads     == TRUE  \* clients read; without, they only send, like an HTTP request
ComesBack == TRUE  \* a node that dies comes back; without, it stays dead

Off == FALSE
One == 1
Back == -1

VARIABLES
  log,     \* store: the entries of the thread, by seq
  row,     \* store: each run's status, fence and lease
  up,      \* which nodes live
  own,     \* node: the run it works on, or None
  peek,    \* node: what it read of a run before its claim (only in mutations)
  flight,  \* node: writes under way
  inbox,   \* node: messages not written yet
  wire,    \* network: writes on their way to the store
  wake,    \* bus: nodes with a wake-up under way
  conn,    \* client: the node it is connected to, or None
  sent,    \* node: how far it has sent the log to a client
  behind,  \* node: whether a client's replay is still to be read (only without HeadsCompared)
  view,    \* client: the entries sent to it; what it did not read is cut off when the connection breaks
  outbox,  \* client: each message new, sent, told (the ack is on its way), or acked
  faults   \* how much has gone wrong

store == <<log, row>>
work  == <<up, own, peek, flight, inbox, wire>>
reach == <<conn, sent, behind, view, outbox>>
vars  == <<log, row, up, own, peek, flight, inbox, wire, wake, conn, sent, behind, view, outbox, faults>>

Max(a, b) == IF a > b THEN a ELSE b
Gap == [k |-> "gap"]     \* a place nothing was written to

Init ==
  /\ log    = << >>
  /\ row    = [m \in Msgs |-> [st |-> "none", f |-> 0, lease |-> None]]
  /\ up     = [n \in Nodes |-> TRUE]
  /\ own    = [n \in Nodes |-> None]
  /\ peek   = [n \in Nodes |-> None]
  /\ flight = [n \in Nodes |-> {}]
  /\ inbox  = [n \in Nodes |-> {}]
  /\ wire   = {}
  /\ wake   = {}
  /\ conn   = [c \in Clients |-> None]
  /\ sent   = [c \in Clients |-> 0]
  /\ behind = [c \in Clients |-> FALSE]
  /\ view   = [c \in Clients |-> << >>]
  /\ outbox = [c \in Clients |-> [m \in Msgs |-> "new"]]
  /\ faults = [crash |-> 0, drop |-> 0, timeout |-> 0, zombie |-> 0]

-----------------------------------------------------------------------------
(* What the store knows *)

Places(m, kind) == {i \in 1..Len(log) : log[i].k = kind /\ log[i].m = m}
First(S)        == CHOOSE i \in S : \A j \in S : i <= j
StepsOf(m)      == Cardinality(Places(m, "step"))
Unfinished      == {m \in Msgs : row[m].st \in {"queued", "running"}}
Asked(m)        == First(Places(m, "user"))

(* Runs start in the order of their messages, and never two at a time. *)
Claimable(m) ==
  /\ m \in Unfinished
  /\ row[m].lease = None
  /\ row[m].st = "queued" =>
       \A o \in Unfinished \ {m} :
         /\ OneRunning => row[o].st = "queued"
         /\ OldestFirst /\ row[o].st = "queued" => Asked(m) < Asked(o)

HolderGone(m) ==
  LET n == row[m].lease IN
  IF n = None THEN TRUE ELSE IF up[n] /\ own[n] # None THEN own[n].m # m ELSE TRUE

-----------------------------------------------------------------------------
(* A node delivers *)

Readers(n) == {c \in Clients : conn[c] = n}

(* Entry e at place i is sent to those readers of n whose next one it is. *)
Takes(n, c, i) == Reads /\ c \in Readers(n) /\ (CheckPlace => sent[c] + 1 = i)
Publish(n, i, e) ==
  /\ view' = [c \in Clients |-> IF Takes(n, c, i) THEN Append(view[c], e) ELSE view[c]]
  /\ sent' = [c \in Clients |-> IF Takes(n, c, i) THEN i ELSE sent[c]]

(* The sender of a message is told, if it is still there. *)
Told(n, q) ==
  IF conn[q.c] = n /\ outbox[q.c][q.m] # "acked" THEN [outbox EXCEPT ![q.c][q.m] = "told"] ELSE outbox

-----------------------------------------------------------------------------
(* A node writes *)

Named(id, try) == IF RetrySameIdentity THEN id ELSE [id EXCEPT !.r = try]

(* Hands a write to the network. *)
Begin(n, b) ==
  LET x == [b |-> b, try |-> 1, st |-> "sent", res |-> None] IN
  /\ OneFlight => flight[n] = {}
  /\ Cardinality(flight[n]) < 2
  /\ flight' = [flight EXCEPT ![n] = @ \union {x}]
  /\ wire'   = wire \union {[n |-> n, b |-> b, try |-> 1]}

NextPlace(n) == IF SeqByStore THEN 0 ELSE Len(log) + 1 + Cardinality(flight[n])

(* The hub takes a message from its queue. *)
WriteMessage(n) ==
  \E q \in inbox[n] :
    LET id == [m |-> q.m, who |-> q.c, f |-> q.a, k |-> "user", s |-> 0, r |-> 0]
        b  == [id |-> id, k |-> "user", m |-> q.m, s |-> 0, f |-> 0, at |-> NextPlace(n), q |-> q]
    IN
    /\ up[n]
    /\ Begin(n, b)
    /\ inbox' = [inbox EXCEPT ![n] = @ \ {q}]
    /\ outbox' = IF AckAfterCommit THEN outbox ELSE Told(n, q)
    /\ UNCHANGED <<log, row, up, own, peek, wake, conn, sent, behind, view, faults>>

(* What the run at work says next. *)
NextOf(o) ==
  CASE o.st = "read"                       -> [k |-> "start", s |-> 0]
    [] o.st = "working" /\ o.pos < Steps   -> [k |-> "step", s |-> o.pos + 1]
    [] o.st = "working" /\ o.pos >= Steps  -> [k |-> "end", s |-> 0]

WriteOfRun(n) ==
  /\ up[n] /\ own[n] # None /\ own[n].st \in {"read", "working"}
  /\ LET o  == own[n]
         w  == NextOf(o)
         id == [m |-> o.m, who |-> None, f |-> o.f, k |-> w.k, s |-> w.s, r |-> 0]
         b  == [id |-> id, k |-> w.k, m |-> o.m, s |-> w.s, f |-> o.f, at |-> NextPlace(n), q |-> None]
         e  == [k |-> w.k, m |-> o.m, s |-> w.s, f |-> o.f, at |-> o.f, id |-> id]
     IN
     /\ Begin(n, b)
     /\ own' = [own EXCEPT ![n].st  = IF w.k = "end" THEN "ending" ELSE "working",
                           ![n].pos = w.s + (IF w.k = "start" THEN o.pos ELSE 0)]
     /\ IF PublishAfterCommit THEN UNCHANGED <<view, sent>>
        ELSE /\ view' = [c \in Clients |-> IF c \in Readers(n) THEN Append(view[c], e) ELSE view[c]]
             /\ sent' = [c \in Clients |-> IF c \in Readers(n) THEN sent[c] + 1 ELSE sent[c]]
  /\ UNCHANGED <<log, row, up, peek, inbox, wake, conn, behind, outbox, faults>>

(* The answer did not come. The write may be lost, or land later. *)
Timeout(n) ==
  \E x \in flight[n], lost \in BOOLEAN :
    LET w == [n |-> n, b |-> x.b, try |-> x.try] IN
    /\ up[n] /\ x.st = "sent"
    /\ faults.timeout < MaxTimeout
    /\ lost => w \in wire
    /\ wire'   = IF lost THEN wire \ {w} ELSE wire
    /\ flight' = [flight EXCEPT ![n] = (@ \ {x}) \union {[x EXCEPT !.st = "waiting", !.res = None]}]
    /\ faults' = [faults EXCEPT !.timeout = @ + 1]
    /\ UNCHANGED <<log, row, up, own, peek, inbox, wake, reach>>

Retry(n) ==
  \E x \in flight[n] :
    LET try == x.try + 1
        b   == [x.b EXCEPT !.id = Named(@, try)]
    IN
    /\ up[n] /\ x.st = "waiting"
    /\ flight' = [flight EXCEPT ![n] = (@ \ {x}) \union {[b |-> b, try |-> try, st |-> "sent", res |-> None]}]
    /\ wire'   = wire \union {[n |-> n, b |-> b, try |-> try]}
    /\ UNCHANGED <<log, row, up, own, peek, inbox, wake, reach, faults>>

-----------------------------------------------------------------------------
(* The store decides; the write may be of a node that is long dead. *)

Stale(b)  == b.k # "user" /\ row[b.m].f > b.f
Ended(b)  == b.k # "user" /\ row[b.m].st = "ended"

(* The log with e at place p; what lies between is a hole. *)
Placed(e, p) ==
  [i \in 1..Max(Len(log), p) |-> IF i = p THEN e ELSE IF i <= Len(log) THEN log[i] ELSE Gap]

Land(w) ==
  LET b      == w.b
      known  == {i \in 1..Len(log) : log[i].k # "gap" /\ log[i].id = b.id}
      place  == IF SeqByStore THEN Len(log) + 1 ELSE b.at
      entry  == [k |-> b.k, m |-> b.m, s |-> b.s, f |-> b.f,
                 at |-> IF b.k = "user" THEN 0 ELSE row[b.m].f,   \* the fence in force: seen by properties only
                 id |-> b.id]
      dup    == b.k = "user" /\ DedupMessages /\ row[b.m].st # "none"
      fenced == FenceChecked /\ (Stale(b) \/ Ended(b))
      writes == known = {} /\ ~dup /\ ~fenced
      res    == CASE known # {} -> [done |-> TRUE, first |-> First(known)]
                  [] writes     -> [done |-> TRUE, first |-> place]
                  [] OTHER      -> [done |-> FALSE, first |-> 0]
      hears  == {x \in flight[w.n] : x.st = "sent" /\ x.b.id = b.id /\ x.try = w.try}
  IN
  /\ wire' = wire \ {w}
  /\ log'  = IF writes THEN Placed(entry, place) ELSE log
  /\ row'  = IF ~writes THEN row
             ELSE CASE b.k = "user" /\ row[b.m].st = "none" -> [row EXCEPT ![b.m].st = "queued"]
                    [] b.k = "end" -> [row EXCEPT ![b.m].st = "ended", ![b.m].lease = None]
                    [] OTHER       -> row
  /\ flight' = [flight EXCEPT ![w.n] = (@ \ hears) \union {[x EXCEPT !.res = res] : x \in hears}]
  /\ UNCHANGED <<up, own, peek, inbox, wake, reach, faults>>

(* The answer reaches the hub: now, and not before, others hear of it. *)
Answer(n) ==
  \E x \in flight[n] :
    LET b    == x.b
        done == x.res.done
        mine == own[n] # None /\ own[n].m = b.m /\ own[n].f = b.f
    IN
    /\ up[n] /\ x.st = "sent" /\ x.res # None
    /\ flight' = [flight EXCEPT ![n] = @ \ {x}]
    /\ outbox' = IF b.k = "user" /\ AckAfterCommit THEN Told(n, b.q) ELSE outbox
    /\ IF done /\ (PublishAfterCommit \/ b.k = "user")
       THEN Publish(n, x.res.first, log[x.res.first]) ELSE UNCHANGED <<view, sent>>
    /\ wake' = IF done /\ WakeUps THEN wake \union {o \in Nodes \ {n} : Readers(o) # {}} ELSE wake
    /\ own' = IF b.k # "user" /\ mine /\ (~done \/ b.k = "end") THEN [own EXCEPT ![n] = None] ELSE own
    /\ UNCHANGED <<log, row, up, peek, inbox, wire, conn, behind, faults>>

-----------------------------------------------------------------------------
(* Leases and runs *)

Claim(n, m) ==
  /\ ClaimAtomic /\ ReadAfterClaim
  /\ up[n] /\ own[n] = None /\ Claimable(m)
  /\ row' = [row EXCEPT ![m] = [st |-> "running", f |-> @.f + 1, lease |-> n]]
  /\ own' = [own EXCEPT ![n] = [m |-> m, f |-> row[m].f + 1, pos |-> 0, st |-> "claimed"]]
  /\ UNCHANGED <<log, up, peek, flight, inbox, wire, wake, reach, faults>>

(* The log of the run is read: the work goes on where it ends. *)
Recover(n) ==
  /\ up[n] /\ own[n] # None /\ own[n].st = "claimed"
  /\ own' = [own EXCEPT ![n].st = "read", ![n].pos = StepsOf(own[n].m)]
  /\ UNCHANGED <<store, up, peek, flight, inbox, wire, wake, reach, faults>>

(* The two halves of a claim, for designs that look first and claim later. *)
Peek(n, m) ==
  /\ ~(ClaimAtomic /\ ReadAfterClaim)
  /\ up[n] /\ own[n] = None /\ peek[n] = None /\ Claimable(m)
  /\ peek' = [peek EXCEPT ![n] = [m |-> m, f |-> row[m].f, pos |-> StepsOf(m)]]
  /\ UNCHANGED <<store, up, own, flight, inbox, wire, wake, reach, faults>>

ClaimPeeked(n) ==
  /\ up[n] /\ own[n] = None /\ peek[n] # None
  /\ peek' = [peek EXCEPT ![n] = None]
  /\ LET m  == peek[n].m
         f  == IF ClaimAtomic THEN row[m].f + 1 ELSE peek[n].f + 1
         ok == IF ClaimAtomic THEN Claimable(m) ELSE row[m].st # "ended" /\ row[m].f <= f
     IN IF ok
        THEN /\ row' = [row EXCEPT ![m] = [st |-> "running", f |-> f, lease |-> n]]
             /\ own' = [own EXCEPT ![n] = [m |-> m, f |-> f, pos |-> IF ReadAfterClaim THEN 0 ELSE peek[n].pos,
                                           st |-> IF ReadAfterClaim THEN "claimed" ELSE "read"]]
        ELSE UNCHANGED <<row, own>>
  /\ UNCHANGED <<log, up, flight, inbox, wire, wake, reach, faults>>

(* The holder is gone, or only slow. *)
LeaseExpire(m) ==
  /\ LeaseExpires /\ row[m].lease # None /\ HolderGone(m)
  /\ row' = [row EXCEPT ![m].lease = None]
  /\ UNCHANGED <<log, work, wake, reach, faults>>

LeaseLost(m) ==
  /\ row[m].lease # None /\ ~HolderGone(m) /\ faults.zombie < MaxZombie
  /\ row' = [row EXCEPT ![m].lease = None]
  /\ faults' = [faults EXCEPT !.zombie = @ + 1]
  /\ UNCHANGED <<log, work, wake, reach>>

-----------------------------------------------------------------------------
(* Readers *)

(* What a client that was behind is sent: everything the store has. The node looks because it compares
   heads now and then, because it was woken, or because the client has just come. *)
Page(c) ==
  LET n == conn[c] IN
  /\ Reads /\ n # None
  /\ HeadsCompared \/ n \in wake \/ behind[c]
  /\ sent[c] < Len(log) \/ n \in wake \/ behind[c]
  /\ view'   = [view EXCEPT ![c] = @ \o SubSeq(log, sent[c] + 1, Len(log))]
  /\ sent'   = [sent EXCEPT ![c] = Max(@, Len(log))]
  /\ behind' = [behind EXCEPT ![c] = FALSE]
  /\ wake'   = IF \A o \in Readers(n) \ {c} : sent[o] >= Len(log) THEN wake \ {n} ELSE wake
  /\ UNCHANGED <<store, work, conn, outbox, faults>>

LoseWake(n) ==
  /\ n \in wake
  /\ wake' = wake \ {n}
  /\ UNCHANGED <<store, work, reach, faults>>

-----------------------------------------------------------------------------
(* Clients *)

Send(c, m) ==
  /\ conn[c] # None /\ outbox[c][m] = "new"
  /\ outbox' = [outbox EXCEPT ![c][m] = "sent"]
  /\ inbox'  = [inbox EXCEPT ![conn[c]] = @ \union {[c |-> c, m |-> m, a |-> faults.drop + faults.crash]}]
  /\ UNCHANGED <<store, up, own, peek, flight, wire, wake, conn, sent, behind, view, faults>>

(* What was sent and not acknowledged is sent again on the next connection. *)
Unsent(states, heard) ==
  [m \in Msgs |-> CASE states[m] = "told"                   -> IF heard THEN "acked" ELSE "new"
                    [] states[m] = "sent" /\ ClientResends  -> "new"
                    [] OTHER                                -> states[m]]

(* The connection breaks. The client has read any part of what was sent to it (with none of it, it is
   a page that was loaded again), and acknowledgements or not. *)
Drop(c) ==
  /\ conn[c] # None /\ faults.drop < MaxDrop
  /\ \E k \in 0..Len(view[c]), heard \in BOOLEAN :
       /\ view'   = [view EXCEPT ![c] = SubSeq(@, 1, k)]
       /\ outbox' = [outbox EXCEPT ![c] = Unsent(@, heard)]
  /\ conn'   = [conn EXCEPT ![c] = None]
  /\ sent'   = [sent EXCEPT ![c] = 0]
  /\ behind' = [behind EXCEPT ![c] = FALSE]
  /\ wake'   = IF Readers(conn[c]) = {c} THEN wake \ {conn[c]} ELSE wake
  /\ faults' = [faults EXCEPT !.drop = @ + 1]
  /\ UNCHANGED <<store, work>>

(* A client comes, to any node, and says how far it has read. *)
Attach(c, n) ==
  LET last == Len(view[c]) IN
  /\ conn[c] = None /\ up[n]
  /\ conn'   = [conn EXCEPT ![c] = n]
  /\ sent'   = [sent EXCEPT ![c] = last + (IF last > 0 THEN ResumeShift ELSE 0)]
  /\ behind' = [behind EXCEPT ![c] = ~HeadsCompared]
  /\ UNCHANGED <<store, work, wake, view, outbox, faults>>

-----------------------------------------------------------------------------
(* Death *)

(* All that is in the memory of the node is gone. Writes under way may be lost with it, or land later.
   A node that comes back is back at once: to do nothing for a while is the same as to be down. *)
Crash(n) ==
  /\ up[n] /\ faults.crash < MaxCrash
  /\ up'     = [up EXCEPT ![n] = ComesBack]
  /\ own'    = [own EXCEPT ![n] = None]
  /\ peek'   = [peek EXCEPT ![n] = None]
  /\ flight' = [flight EXCEPT ![n] = {}]
  /\ inbox'  = [inbox EXCEPT ![n] = {}]
  /\ wake'   = wake \ {n}
  /\ \/ wire' = wire
     \/ wire' = {w \in wire : w.n # n} /\ wire' # wire
  /\ conn'   = [c \in Clients |-> IF conn[c] = n THEN None ELSE conn[c]]
  /\ sent'   = [c \in Clients |-> IF conn[c] = n THEN 0 ELSE sent[c]]
  /\ behind' = [c \in Clients |-> IF conn[c] = n THEN FALSE ELSE behind[c]]
  /\ \E heard \in BOOLEAN :
       outbox' = [c \in Clients |-> IF conn[c] = n THEN Unsent(outbox[c], heard) ELSE outbox[c]]
  /\ faults' = [faults EXCEPT !.crash = @ + 1]
  /\ UNCHANGED <<log, row, view>>

-----------------------------------------------------------------------------
Claims == \E n \in Nodes : ClaimPeeked(n) \/ \E m \in Msgs : Claim(n, m) \/ Peek(n, m)

Next ==
  \/ \E n \in Nodes :
       \/ WriteMessage(n) \/ WriteOfRun(n) \/ Timeout(n) \/ Retry(n) \/ Answer(n)
       \/ Recover(n) \/ LoseWake(n)
       \/ Crash(n)
  \/ Claims
  \/ \E w \in wire : Land(w)
  \/ \E m \in Msgs : LeaseExpire(m) \/ LeaseLost(m)
  \/ \E c \in Clients :
       \/ Page(c) \/ Drop(c)
       \/ \E m \in Msgs : Send(c, m)
       \/ \E n \in Nodes : Attach(c, n)

(* Whatever can go on does, save the bus: a wake-up may be lost each time. *)
Fairness ==
  /\ \A n \in Nodes : /\ WF_vars(WriteMessage(n)) /\ WF_vars(WriteOfRun(n)) /\ WF_vars(Retry(n))
                      /\ WF_vars(Answer(n)) /\ WF_vars(Recover(n))
  /\ WF_vars(Claims)
  /\ WF_vars(\E w \in wire : Land(w))
  /\ \A m \in Msgs : WF_vars(LeaseExpire(m))
  /\ \A c \in Clients : /\ WF_vars(Page(c))
                        /\ WF_vars(\E m \in Msgs : Send(c, m))
                        /\ WF_vars(\E n \in Nodes : Attach(c, n))

Spec     == Init /\ [][Next]_vars
FairSpec == Spec /\ Fairness

-----------------------------------------------------------------------------
(* Safety *)

(* DLV-02 *)
GapFree == \A i \in 1..Len(log) : log[i].k # "gap"

(* DLV-03 *)
EntriesNeverChange ==
  [][\A i \in 1..Len(log) : log[i].k # "gap" => Len(log') >= i /\ log'[i] = log[i]]_log

(* DLV-12, DLV-20: whoever was told "accepted", or is being told, finds it in the log. *)
AcknowledgedIsKept ==
  \A c \in Clients, m \in Msgs :
    outbox[c][m] \in {"told", "acked"} => Places(m, "user") # {}

(* DLV-09: each entry of a run was written under the fence in force. *)
StaleIsNeverVisible == \A i \in 1..Len(log) : log[i].k \in {"start", "step", "end"} => log[i].f = log[i].at

(* RUN-01: one run at work, and one node that may write for it. *)
OneAtWork ==
  /\ Cardinality({m \in Msgs : row[m].st = "running"}) <= 1
  /\ \A n, o \in Nodes : n # o /\ own[n] # None /\ own[o] # None =>
       ~(own[n].m = own[o].m /\ own[n].f = own[o].f)

(* DLV-01 *)
SentIsKept ==
  \A c \in Clients : \A i \in 1..Len(view[c]) : \E j \in 1..Len(log) : log[j] = view[c][i]

(* DLV-04, DLV-06 *)
ReadersSeeAPrefix ==
  \A c \in Clients : Len(view[c]) <= Len(log) /\ view[c] = SubSeq(log, 1, Len(view[c]))

(* RUN-06 *)
OneEnd ==
  \A m \in Msgs :
    /\ Cardinality(Places(m, "end")) <= 1
    /\ \A i \in Places(m, "end"), k \in {"start", "step"} : \A j \in Places(m, k) : j < i

(* RUN-16, RUN-21: however often a run was taken over, its log reads as if nobody had died. *)
StepsOnceInOrder ==
  \A m \in Msgs :
    LET steps == Places(m, "step") IN
    /\ \A i \in steps : log[i].s = Cardinality({j \in steps : j <= i})
    /\ \A i \in steps : \E j \in Places(m, "start") : j < i
    /\ Places(m, "end") # {} => Cardinality(steps) = Steps

(* DLV-08 *)
OneMessage == \A m \in Msgs : Cardinality(Places(m, "user")) <= 1

(* RUN-15 *)
InOrder ==
  \A m, o \in Msgs :
    Places(m, "start") # {} /\ Places(o, "start") # {} /\ m # o =>
      (Asked(m) < Asked(o) <=> First(Places(m, "start")) < First(Places(o, "start")))

-----------------------------------------------------------------------------
(* Liveness, under Fairness: faults are bounded, so they stop. *)

(* DLV-08, client side: what is sent is acknowledged at last. *)
EveryMessageIsAcknowledged == \A c \in Clients, m \in Msgs : <>[](outbox[c][m] \in {"told", "acked"})

(* RUN-08 *)
EveryRunEnds == \A m \in Msgs : (row[m].st # "none") ~> (Places(m, "end") # {})

(* DLV-05: no reader stays behind. *)
ReadersReachTheHead == <>[](\A c \in Clients : conn[c] # None /\ Len(view[c]) = Len(log))

(* A run whose holder is gone gets another one. *)
Orphan(m) == row[m].st = "running" /\ HolderGone(m)
OrphansAreTakenOver == \A m \in Msgs : Orphan(m) ~> ~Orphan(m)

-----------------------------------------------------------------------------
(* Witnesses: each is violated, or the model never gets where it matters. *)

NoTakeover == \A m \in Msgs : Cardinality({log[i].f : i \in Places(m, "start")}) <= 1

(* A write of an older fence is on its way although its successor has begun. *)
NoLateWrite == ~\E w \in wire : w.b.k # "user" /\ \E i \in Places(w.b.m, "start") : log[i].f > w.b.f

(* The holder lives and does not know that another one works. *)
NoZombie ==
  ~\E n, o \in Nodes : n # o /\ own[n] # None /\ own[o] # None /\ own[n].m = own[o].m

(* A write is sent again although it is in the log already. *)
NoRepeatedWrite ==
  ~\E w \in wire : w.try > 1 /\ \E i \in 1..Len(log) : log[i].id = w.b.id

(* A message is sent again although it was accepted. *)
NoRepeatedMessage == ~\E n \in Nodes : \E q \in inbox[n] : row[q.m].st # "none"

(* A reader comes back in the middle of the log. *)
NoReplay ==
  ~\E c \in Clients : conn[c] # None /\ faults.drop > 0 /\ sent[c] > 0 /\ sent[c] = Len(view[c]) /\ Len(log) > sent[c] + 1

(* Everything went wrong that may, and all is well. *)
NoHappyEnd ==
  ~(/\ faults = [crash |-> MaxCrash, drop |-> MaxDrop, timeout |-> MaxTimeout, zombie |-> MaxZombie]
    /\ \A m \in Msgs : Places(m, "end") # {}
    /\ \A c \in Clients : Len(view[c]) = Len(log) /\ \A m \in Msgs : outbox[c][m] \in {"told", "acked"})

Symmetric == Permutations(Nodes) \union Permutations(Msgs) \union Permutations(Clients)
=============================================================================
