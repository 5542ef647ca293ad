// The token is sent as a form, to this same address; the server leads on, or back here.

import { say } from "./dom.js";
import { query } from "./state.js";

if (query().has("wrong")) say("That is not the token of this server.");
