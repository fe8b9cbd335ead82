// Who may log in: people of the simulators (src/simulator/people.rs).

export const JO = {
  upstream: "members",
  label: "Member login",
  username: "JSMITH",
  password: "member-demo-1",
  name: "Jo Smith",
  email: "j.smith@example.org",
};

export const ANN = {
  upstream: "staff",
  label: "Staff login",
  username: "ann.lee",
  password: "staff-demo-1",
  name: "Ann Lee",
  email: "ann.lee@example.com",
};

export const BO = {
  upstream: "staff",
  label: "Staff login",
  username: "bo.long",
  password: "staff-demo-4",
  name: "Bo Long",
};

export const IMIS_SERVICE = { username: "PORTICO.SVC", password: "service-demo-1" };
