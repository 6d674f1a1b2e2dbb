// Documents of a front end. relay-compiler reads them, and nothing runs this file.

import { graphql } from "relay-runtime";

export const profile = graphql`
  fragment users_profile on User @refetchable(queryName: "usersProfileRefetchQuery") {
    username
    name
  }
`;

export const list = graphql`
  fragment users_list on Query
  @argumentDefinitions(first: { type: "Int", defaultValue: 2 }, after: { type: "String" })
  @refetchable(queryName: "usersListPaginationQuery") {
    users(first: $first, after: $after) @connection(key: "users_list_users") {
      edges {
        node {
          id
          ...users_profile
        }
      }
    }
  }
`;

export const page = graphql`
  query usersPageQuery {
    ...users_list
  }
`;

export const remove = graphql`
  mutation usersRemoveMutation($input: DeleteUserInput!) {
    deleteUser(input: $input) {
      deletedId @deleteRecord
      errors {
        code
      }
    }
  }
`;

export const removeMany = graphql`
  mutation usersRemoveManyMutation($input: DeleteUsersInput!) {
    deleteUsers(input: $input) {
      deletedIds @deleteRecord
    }
  }
`;

export const removeToken = graphql`
  mutation usersRemoveTokenMutation($input: DeleteApiTokenInput!) {
    deleteApiToken(input: $input) {
      apiToken {
        id @deleteRecord
      }
    }
  }
`;

export const removeSession = graphql`
  mutation usersRemoveSessionMutation($input: RevokeSessionInput!) {
    revokeSession(input: $input) {
      session {
        id @deleteRecord
      }
    }
  }
`;

export const objects = graphql`
  query usersObjectsQuery($ids: [ID!]!) {
    nodes(ids: $ids) {
      ...users_profile @alias
      ...users_sample @alias
      ...users_session @alias
      ...users_apiToken @alias
      ...users_auditEvent @alias
      ...users_outgoingMail @alias
    }
  }
`;

export const sample = graphql`
  fragment users_sample on Sample @refetchable(queryName: "usersSampleRefetchQuery") {
    title
  }
`;

export const session = graphql`
  fragment users_session on Session @refetchable(queryName: "usersSessionRefetchQuery") {
    isCurrent
  }
`;

export const apiToken = graphql`
  fragment users_apiToken on ApiToken @refetchable(queryName: "usersApiTokenRefetchQuery") {
    prefix
  }
`;

export const auditEvent = graphql`
  fragment users_auditEvent on AuditEvent @refetchable(queryName: "usersAuditEventRefetchQuery") {
    action
  }
`;

export const outgoingMail = graphql`
  fragment users_outgoingMail on OutgoingMail @refetchable(queryName: "usersOutgoingMailRefetchQuery") {
    status
  }
`;
